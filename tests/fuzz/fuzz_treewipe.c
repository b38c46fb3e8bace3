/* A tree that a task left behind, as a list of steps, a line each: d NAME (a directory, entered), u
 * (up), f NAME (a file), l NAME TARGET (a link), p NAME (a pipe), m (mode 000 for where we are).
 * However it looks, all of it goes, and nothing else. */
#include "support/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "support/input.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "workspace/treewipe.h"

enum {
    STEPS_MAX = 300,
    DEPTH_MAX = 64,
    FILE_FLAGS = O_WRONLY | O_CREAT | O_NONBLOCK, /* it may be a pipe already */
};

static char *fuzz_dir;

static void remove_dir(void)
{
    tempdir_free(fuzz_dir);
}

static int open_dir(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The directory with "top", which is wiped, and "kept", which links in it may name. */
static int open_world(void)
{
    int fd;

    if (!fuzz_dir) {
        fuzz_dir = tempdir_new();
        (void)atexit(remove_dir);
    }
    fd = open_dir(AT_FDCWD, fuzz_dir);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(mkdirat(fd, "kept", 0700) == 0 || errno == EEXIST);
    FUZZ_CHECK(mkdirat(fd, "kept/inner", 0700) == 0 || errno == EEXIST);
    FUZZ_CHECK(mkdirat(fd, "top", 0700) == 0);
    return fd;
}

/* Where something can't be made, so be it. */
static void build(int top, struct input in)
{
    int dirs[DEPTH_MAX] = { top };
    size_t depth = 0;

    for (int i = 0; i < STEPS_MAX && in.left > 0; i++) {
        AUTO_FREE char *line = input_until(&in, '\n');
        char *name = line[0] ? line + 1 : line, *target = strchr(name, ' ');
        int at = dirs[depth], fd = -1;

        if (line[0] == 'u' && depth > 0)
            (void)close(dirs[depth--]);
        else if (line[0] == 'm' && depth > 0)
            (void)fchmod(at, 0);
        if (name[0] == '\0' || strchr(name, '/') || name[0] == '.')
            continue;
        if (line[0] == 'd' && depth + 1 < DEPTH_MAX && mkdirat(at, name, 0700) == 0 &&
            (fd = open_dir(at, name)) >= 0)
            dirs[++depth] = fd;
        else if (line[0] == 'f' && (fd = openat(at, name, FILE_FLAGS, 0600)) >= 0)
            (void)close(fd);
        else if (line[0] == 'p')
            (void)mkfifoat(at, name, 0600);
        else if (line[0] == 'l' && target) {
            *target = '\0';
            (void)symlinkat(target + 1, at, name);
        }
    }
    while (depth > 0)
        (void)close(dirs[depth--]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    size_t piece = (size_t)input_byte(&in) + 1, left;
    AUTO_CLOSE int world = open_world();
    int top = open_dir(world, "top"), r, calls = 0;
    struct err err = { 0 };
    struct stat st;

    FUZZ_CHECK(top >= 0);
    build(top, in);
    (void)close(top);
    do {
        left = piece;
        r = treewipe(world, "top", &left, &err);
        FUZZ_CHECK(r >= 0 && left <= piece && ++calls <= 4 * STEPS_MAX);
    } while (r == 1);
    FUZZ_CHECK(fstatat(world, "top", &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT);
    FUZZ_CHECK(fstatat(world, "kept/inner", &st, AT_SYMLINK_NOFOLLOW) == 0);
    return 0;
}
