#include "support/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <ftw.h>
#include <cmocka.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"

char *tempdir_new(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = mem_printf("%s/nairid-test.XXXXXX", base && *base ? base : "/tmp");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static int unlock_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type == FTW_D || type == FTW_DNR)
        (void)chmod(path, 0700); /* so that what is in it can go; remove() tells if not */
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void tempdir_free(char *dir)
{
    if (!dir)
        return;
    (void)nftw(dir, unlock_one, 16, FTW_PHYS);
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(dir);
}

void tempdir_put(const char *dir, const char *name, const char *text)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

void tempdir_mkdir(const char *dir, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);

    assert_int_equal(mkdir(path, 0755), 0);
}
