#include "sandbox/aside.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { DIGITS = 16 };

static int name_at_random(char *end)
{
    unsigned char bytes[DIGITS / 2];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return -errno;
    *end++ = '-';
    for (unsigned i = 0; i < DIGITS; i++)
        *end++ = "0123456789abcdef"[bytes[i / 2] >> (i % 2 * 4) & 15];
    *end = '\0';
    return 0;
}

int aside_move(int dir, const char *path)
{
    char own[PATH_MAX], *end;
    int r;

    if (strlen(path) + sizeof ".own-" + DIGITS > sizeof own)
        return -ENAMETOOLONG;
    end = stpcpy(stpcpy(own, path), ".own");
    if (renameat(dir, path, dir, own) == 0)
        return 0;
    if (errno != EISDIR && errno != ENOTDIR && errno != EEXIST && errno != ENOTEMPTY)
        return -errno;
    r = name_at_random(end);
    return r == 0 && renameat(dir, path, dir, own) < 0 ? -errno : r;
}
