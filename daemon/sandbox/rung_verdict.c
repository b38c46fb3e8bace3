/* The names of walls, what their absence comes to, and rung_check() of rung.h. Pure. */
#include <errno.h>
#include <string.h>

#include "sandbox/rung.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/str.h"
#include "util/strv.h"

static const char *const names[] = {
    [RUNG_USER_NAMESPACE] = "user-namespace",
    [RUNG_MOUNT_NAMESPACE] = "mount-namespace",
    [RUNG_PID_NAMESPACE] = "pid-namespace",
    [RUNG_IPC_NAMESPACE] = "ipc-namespace",
    [RUNG_UTS_NAMESPACE] = "uts-namespace",
    [RUNG_CGROUP_NAMESPACE] = "cgroup-namespace",
    [RUNG_NETWORK_NAMESPACE] = "network-namespace",
    [RUNG_IDS] = "ids",
    [RUNG_ROOT] = "root",
    [RUNG_PROC] = "proc",
    [RUNG_CAPABILITIES] = "capabilities",
    [RUNG_LANDLOCK] = "landlock",
    [RUNG_SCOPES] = "landlock-scopes",
    [RUNG_FILTER] = "filter",
    [RUNG_CGROUP] = "cgroup",
    [RUNG_GROUPS] = "groups",
};
_Static_assert(ARRAY_SIZE(names) == RUNG_WALL_COUNT, "a name for each wall");

/* What a task could then reach, or what stands in for the wall. */
static const char *const losses[RUNG_WALL_COUNT] = {
    [RUNG_USER_NAMESPACE] = "a task is a user of the machine itself, though one without rights",
    [RUNG_MOUNT_NAMESPACE] =
        "a task sees names, sizes and times of the machine's files; which of them it may read and "
        "write is Landlock's to say alone",
    [RUNG_PID_NAMESPACE] =
        "a task sees the machine's processes; its own are ended by us and not by "
        "the kernel",
    [RUNG_IPC_NAMESPACE] = "a task is refused every IPC object, as it would see the machine's",
    [RUNG_UTS_NAMESPACE] = "a task sees the machine's name",
    [RUNG_CGROUP_NAMESPACE] = "a task sees the names of the machine's cgroups",
    [RUNG_NETWORK_NAMESPACE] = "sandbox.network.mode can't be allowlist; with none a task has no "
                               "socket at all, not even on loopback",
    [RUNG_IDS] = "a task runs as the daemon's own user: it can change modes and times of that "
                 "user's files, and counts among that user's processes",
    [RUNG_ROOT] = "a task works at its job's own paths, with the machine's /etc/passwd and without "
                  "/tmp (TMPDIR leads elsewhere), /dev/shm and terminals",
    [RUNG_PROC] = "a task reads names and command lines of the machine's processes",
    [RUNG_LANDLOCK] = "there is no second wall behind the mounts, and none around the daemon's and "
                      "the proxies' own files",
};

const char *rung_wall_name(enum rung_wall wall)
{
    return names[wall];
}

static int check_names(const struct strv *accept, struct err *err)
{
    for (size_t i = 0; accept && i < accept->len; i++) {
        const char *near = str_nearest(accept->items[i], names, ARRAY_SIZE(names));
        bool known = near && strcmp(near, accept->items[i]) == 0;

        if (!known)
            return err_set(err, -EINVAL, "sandbox.accept: no wall is called '%s'%s%s%s",
                           accept->items[i], near ? "; did you mean '" : "", near ? near : "",
                           near ? "'?" : "");
    }
    return 0;
}

static bool is_accepted(const struct strv *accept, enum rung_wall wall)
{
    for (size_t i = 0; accept && i < accept->len; i++)
        if (strcmp(accept->items[i], names[wall]) == 0)
            return true;
    return false;
}

/* "user-namespace, proc": all that would have to be accepted. */
static void list_missing(const struct rung *rung, struct buf *b)
{
    for (int i = 0; i < RUNG_WALL_COUNT; i++)
        if (rung->walls[i].state == RUNG_MISSING)
            buf_printf(b, "%s%s", b->len > 0 ? ", " : "", names[i]);
}

static int refuse(const struct rung *rung, enum rung_wall wall, struct err *err)
{
    CLEANUP(buf_done) struct buf all = { 0 };

    if (rung->shortage < 0)
        return err_set(err, rung->shortage, "%s: the sandbox can't be tried now: %s", names[wall],
                       rung->walls[wall].text);
    if (!rung->stands || !losses[wall])
        return err_set(err, -EOPNOTSUPP,
                       "%s: this machine doesn't give the sandbox that wall, and there is no doing "
                       "without it: %s",
                       names[wall], rung->walls[wall].text);
    list_missing(rung, &all);
    return err_set(err, -EOPNOTSUPP,
                   "%s: this machine doesn't give the sandbox that wall: %s. To do without: "
                   "sandbox.accept: [%s]; 'nairid check' says what a task could then reach",
                   names[wall], rung->walls[wall].text, buf_str(&all));
}

int rung_check(const struct rung *rung, const struct strv *accept, struct plan_ground *ret_ground,
               struct err *err)
{
    int r = check_names(accept, err);

    if (r < 0)
        return r;
    /* what there is no way without is behind what there is a way without */
    for (enum rung_wall i = RUNG_WALL_COUNT; i-- > 0;)
        if (rung->walls[i].state == RUNG_MISSING && (!rung->stands || !losses[i]))
            return refuse(rung, i, err);
    for (enum rung_wall i = 0; i < RUNG_WALL_COUNT; i++)
        if (rung->walls[i].state == RUNG_MISSING && !is_accepted(accept, i))
            return refuse(rung, i, err);
    *ret_ground = rung->ground;
    return 0;
}

const char *rung_loss(enum rung_wall wall)
{
    return losses[wall];
}
