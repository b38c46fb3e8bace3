/* Paths of which tasks could have made the end: their links lead nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/firm.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/mem.h"

static void the_firm_part_ends_where_tasks_may_write(void **state)
{
    (void)state;
    assert_int_equal(firm_len("/srv/a/b", 8, "/srv"), 4);
    assert_int_equal(firm_len("/srv/a/b", 8, "/srv/a"), 6);
    assert_int_equal(firm_len("/srv/a/b", 4, "/srv/a"), 4);   /* the outermost one counts */
    assert_int_equal(firm_len("/srv/a/b", 8, "/srv/a/b"), 8); /* which is its own place */
    assert_int_equal(firm_len("/srv/a/b", 8, "/srv/a/b/c"), 8);
    assert_int_equal(firm_len("/srv/ab", 7, "/srv/a"), 7);
}

static int try_open(int root, const char *path, size_t len)
{
    AUTO_CLOSE int fd = firm_open(root, path, len);
    struct stat st;

    if (fd < 0)
        return fd;
    assert_int_equal(fstat(fd, &st), 0);
    return S_ISLNK(st.st_mode) ? 1 : 0;
}

/* DIR/out/file; DIR/firm leads to DIR/tasks, and there "way" to "../out" and "end" to "/". */
static void links_are_followed_on_the_firm_part_only(void **state)
{
    AUTO_FREE char *dir = tempdir_new();
    AUTO_FREE char *path = mem_printf("%s/firm/there", dir);
    AUTO_FREE char *way = mem_printf("%s/firm/way/file", dir);
    AUTO_FREE char *end = mem_printf("%s/firm/end", dir);
    size_t firm = strlen(dir) + strlen("/firm");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), file;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(mkdirat(fd, "out", 0755), 0);
    assert_int_equal(mkdirat(fd, "tasks", 0755), 0);
    assert_int_equal(mkdirat(fd, "tasks/there", 0755), 0);
    file = openat(fd, "out/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(file >= 0 && close(file) == 0);
    assert_int_equal(symlinkat("tasks", fd, "firm"), 0);
    assert_int_equal(symlinkat("../out", fd, "tasks/way"), 0);
    assert_int_equal(symlinkat("/", fd, "tasks/end"), 0);
    assert_int_equal(try_open(-1, path, firm), 0);
    assert_int_equal(try_open(-1, way, strlen(way)), 0);
    assert_int_equal(try_open(-1, way, firm), -ELOOP);
    assert_int_equal(try_open(-1, end, strlen(end)), 0);
    assert_int_equal(try_open(-1, end, firm), -ELOOP);
    /* beneath another root, too */
    assert_int_equal(try_open(fd, "/firm/there", 5), 0);
    assert_int_equal(try_open(fd, "/firm/way/file", 14), 0);
    assert_int_equal(try_open(fd, "/firm/way/file", 5), -ELOOP);
    assert_int_equal(try_open(fd, "/firm/end", 5), -ELOOP);
    assert_int_equal(try_open(fd, "/firm/none", 5), -ENOENT);
    assert_int_equal(close(fd), 0);
    tempdir_free(TAKE_PTR(dir));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_firm_part_ends_where_tasks_may_write),
        cmocka_unit_test(links_are_followed_on_the_firm_part_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
