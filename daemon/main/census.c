#include "main/census.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/plan.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

enum { FILE_BYTES_MAX = 64 << 20, FIELDS = 3 };

/* A line of one of the files. */
struct entry {
    char *name;
    uint64_t first, count;
};

/* Cuts the line at its colons. columns: which of the fields are the first id and how many there
 * are; the latter 0: one. False for what isn't a line of that kind. */
static bool read_entry(char *line, const size_t columns[2], struct entry *ret_entry)
{
    char *fields[FIELDS] = { NULL };

    for (size_t i = 0; i < FIELDS; i++)
        fields[i] = strsep(&line, ":");
    ret_entry->name = fields[0];
    ret_entry->count = 1;
    return fields[columns[0]] &&
           str_to_u64(fields[columns[0]], UINT32_MAX, &ret_entry->first) == 0 &&
           (columns[1] == 0 ||
            (fields[columns[1]] &&
             str_to_u64(fields[columns[1]], (uint64_t)UINT32_MAX + 1, &ret_entry->count) == 0));
}

/* 1: found, and *ret_entry's name is one of b's; 0: none. */
static int find_overlap(const char *path, const size_t columns[2], struct buf *b,
                        struct entry *ret_entry, struct err *err)
{
    AUTO_FREE char *real = realpath(path, NULL); /* some keep them elsewhere */
    char *rest, *line;
    int r;

    if (!real)
        return errno == ENOENT ? 0 : err_set(err, -errno, "find '%s': %s", path, strerror(errno));
    r = fd_read_file(real, FILE_BYTES_MAX, b, err);
    if (r < 0)
        return r;
    (void)buf_str(b); /* ends it */
    rest = b->data;
    while ((line = strsep(&rest, "\n")))
        if (read_entry(line, columns, ret_entry) && ret_entry->first <= PLAN_OWN_UID_MAX &&
            ret_entry->first + ret_entry->count > PLAN_KILLER_UID)
            return 1;
    return 0;
}

int census_check(const char *etc, struct err *err)
{
    static const size_t columns[2] = { 2, 0 };
    AUTO_FREE char *path = mem_printf("%s/passwd", etc);
    CLEANUP(buf_done) struct buf b = { 0 };
    struct entry found;
    int r = find_overlap(path, columns, &b, &found, err);

    return r <= 0 ? r
                  : err_set(err, -EEXIST,
                            "the account '%.64s' in %s has the uid %llu, and %u to %u are for "
                            "tasks: give it another one (usermod -u), or run the daemon as an "
                            "ordinary user",
                            found.name, path, (unsigned long long)found.first,
                            (unsigned)PLAN_KILLER_UID, (unsigned)PLAN_OWN_UID_MAX);
}

char *census_overlap(const char *etc)
{
    static const char *const files[] = { "subuid", "subgid" };
    static const size_t columns[2] = { 1, 2 };

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", etc, files[i]);
        CLEANUP(buf_done) struct buf b = { 0 };
        struct entry found;

        if (find_overlap(path, columns, &b, &found, NULL) == 1)
            return mem_printf("%s gives %llu ids from %llu on to the containers of '%.64s', and %u "
                              "to %u are for tasks: processes of such a container may have a "
                              "task's uid; give it another range",
                              path, (unsigned long long)found.count,
                              (unsigned long long)found.first, found.name,
                              (unsigned)PLAN_KILLER_UID, (unsigned)PLAN_OWN_UID_MAX);
    }
    return NULL;
}

/* Who has the uid; NULL: nobody, or not to be seen. */
static char *name_of(const char *path, uid_t uid)
{
    static const size_t columns[2] = { 2, 0 };
    CLEANUP(buf_done) struct buf b = { 0 };
    struct entry found;
    char *rest, *line;

    if (fd_read_file(path, FILE_BYTES_MAX, &b, NULL) < 0)
        return NULL;
    (void)buf_str(&b); /* ends it */
    rest = b.data;
    while ((line = strsep(&rest, "\n")))
        if (read_entry(line, columns, &found) && found.first == uid)
            return mem_strdup(found.name);
    return NULL;
}

uint64_t census_spare(const char *etc, uid_t uid)
{
    static const size_t columns[2] = { 1, 2 };
    AUTO_FREE char *subuid = mem_printf("%s/subuid", etc);
    AUTO_FREE char *passwd = mem_printf("%s/passwd", etc);
    AUTO_FREE char *number = mem_printf("%u", (unsigned)uid);
    AUTO_FREE char *name = name_of(passwd, uid);
    CLEANUP(buf_done) struct buf b = { 0 };
    uint64_t count = 0;
    char *rest, *line;

    if (fd_read_file(subuid, FILE_BYTES_MAX, &b, NULL) < 0)
        return 0;
    (void)buf_str(&b); /* ends it */
    rest = b.data;
    while ((line = strsep(&rest, "\n"))) {
        struct entry found;

        if (read_entry(line, columns, &found) &&
            (str_eq(found.name, number) || (name && str_eq(found.name, name))))
            count += found.count;
    }
    return count;
}
