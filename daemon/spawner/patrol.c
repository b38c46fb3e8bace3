#include "spawner/patrol.h"

#include <stdbool.h>
#include <sys/statvfs.h>

#include "sandbox/cgroup.h"
#include "spawner/ward.h"

enum {
    ROUND_MS = 1000,
    SHORT_MS = 50,        /* between rounds when room may be gone in no time */
    ROOM_BYTES = 1 << 30, /* what is to stay free, */
    ROOM_FILES = 4096,
    ROOM_SHARE = 16,            /* or on small file systems this part of all */
    SPEED_BYTES_A_MS = 1 << 20, /* how fast a disk is filled */
    GUILT_BYTES = 1 << 20,      /* who added less isn't the cause, nor */
    GUILT_SHARE = 8,            /* who added less than this part of what is to stay free */
};

static uint64_t least(uint64_t total, uint64_t most)
{
    return total / ROOM_SHARE < most ? total / ROOM_SHARE : most;
}

static uint64_t floor_of(const struct statvfs *fs)
{
    return least((uint64_t)fs->f_blocks * fs->f_frsize, ROOM_BYTES);
}

/* Until the room may be gone, at the earliest; 0: it is. */
static uint64_t room_lasts_ms(const struct statvfs *fs)
{
    uint64_t free_bytes = (uint64_t)fs->f_bavail * fs->f_frsize, floor_bytes = floor_of(fs);

    if (fs->f_files > 0 && fs->f_favail < least(fs->f_files, ROOM_FILES)) /* some count none */
        return 0;
    if (free_bytes <= floor_bytes)
        return 0;
    return (free_bytes - floor_bytes) / SPEED_BYTES_A_MS + 1;
}

/* The one that added most on that file system, unless one is dying already. */
static struct ward *find_guilty(struct ward *wards, const struct statvfs *full)
{
    uint64_t most = floor_of(full) / GUILT_SHARE;
    struct ward *guilty = NULL;

    if (most < GUILT_BYTES)
        most = GUILT_BYTES;

    for (struct ward *w = wards; w; w = w->next) {
        struct statvfs fs;

        if (!w->directory || w->at.pid == 0 || statvfs(w->directory, &fs) < 0 ||
            fs.f_fsid != full->f_fsid)
            continue;
        if (w->exit.limit != LIMIT_NONE && !w->exit.stuck) /* that one may never be dead */
            return NULL;
        if (ward_is_free(w) && w->grown_bytes >= most) {
            most = w->grown_bytes;
            guilty = w;
        }
    }
    return guilty;
}

static void look_for_room(struct ward *wards, const struct ward *w, uint64_t *wait_ms)
{
    struct ward *guilty;
    uint64_t lasts_ms;
    struct statvfs fs;

    if (!w->directory || statvfs(w->directory, &fs) < 0)
        return;
    lasts_ms = room_lasts_ms(&fs);
    if (lasts_ms < *wait_ms)
        *wait_ms = lasts_ms > SHORT_MS ? lasts_ms : SHORT_MS;
    if (lasts_ms > 0)
        return;
    guilty = find_guilty(wards, &fs);
    if (guilty)
        ward_punish(guilty, LIMIT_ROOM);
}

static void look_at_cgroup(struct ward *w)
{
    struct cgroup_usage usage;

    cgroup_read(w->cgroup, w->task, &usage);
    if (usage.oom)
        ward_punish(w, LIMIT_MEMORY); /* half of a task has no answer to give */
    if (w->cpu_time_ms > 0 && usage.cpu_ms > w->cpu_time_ms)
        ward_punish(w, LIMIT_CPU_TIME);
}

void patrol_walk(struct patrol *p, struct ward *wards, uint64_t now_ms)
{
    uint64_t wait_ms = ROUND_MS;
    bool any = false;

    if (p->due_ms != WARD_NEVER && now_ms < p->due_ms)
        return;
    for (struct ward *w = wards; w; w = w->next) {
        if (!ward_is_free(w))
            continue;
        any = true;
        if (w->cgroup)
            look_at_cgroup(w);
        look_for_room(wards, w, &wait_ms);
    }
    /* with nobody to look after the next look is when there is news of somebody */
    p->due_ms = any ? now_ms + wait_ms : WARD_NEVER;
}
