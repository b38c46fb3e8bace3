#include "spawner/patrol.h"

#include <stdbool.h>
#include <sys/statvfs.h>

#include "sandbox/cgroup.h"
#include "spawner/ward.h"

enum {
    ROUND_MS = 1000,
    SHORT_MS = 50,        /* between rounds when room may be gone in no time */
    ROOM_BYTES = 1 << 30, /* what is to stay free, */
    ROOM_FILES = 16384,
    ROOM_SHARE = 16,            /* or on small file systems this part of all */
    SPEED_BYTES_A_MS = 1 << 20, /* how fast a disk is filled, */
    SPEED_FILES_A_MS = 256,     /* and with empty files */
    GUILT_BYTES = 1 << 20,      /* who added less isn't the cause, nor */
    GUILT_SHARE = 8,            /* who added less than this part of what is to stay free, or of
                                   what has gone */
};

static uint64_t least(uint64_t total, uint64_t most)
{
    return total / ROOM_SHARE < most ? total / ROOM_SHARE : most;
}

static uint64_t floor_of(const struct statvfs *fs)
{
    return least((uint64_t)fs->f_blocks * fs->f_frsize, ROOM_BYTES);
}

static uint64_t lasts_ms(uint64_t left, uint64_t floor, uint64_t speed)
{
    return left <= floor ? 0 : (left - floor) / speed + 1;
}

/* Until the room may be gone, at the earliest; 0: it is. */
static uint64_t bytes_last_ms(const struct statvfs *fs)
{
    return lasts_ms((uint64_t)fs->f_bavail * fs->f_frsize, floor_of(fs), SPEED_BYTES_A_MS);
}

static uint64_t files_last_ms(const struct statvfs *fs)
{
    if (fs->f_files == 0)
        return UINT64_MAX; /* it counts none */
    return lasts_ms(fs->f_favail, least(fs->f_files, ROOM_FILES), SPEED_FILES_A_MS);
}

static uint64_t gone_since(const struct ward *w, const struct statvfs *full)
{
    uint64_t room_bytes = (uint64_t)full->f_bavail * full->f_frsize;

    return w->room_bytes > room_bytes ? w->room_bytes - room_bytes : 0;
}

/* What it takes to be the cause: some part of what is to stay free, and of what has gone since it
 * began, as others on the machine fill disks, too. */
static uint64_t guilt_of(const struct ward *w, const struct statvfs *full)
{
    uint64_t gone_bytes = gone_since(w, full), least_bytes = floor_of(full) / GUILT_SHARE;

    if (least_bytes < gone_bytes / GUILT_SHARE)
        least_bytes = gone_bytes / GUILT_SHARE;
    return least_bytes < GUILT_BYTES ? GUILT_BYTES : least_bytes;
}

/* By how much it is the cause, of a lack of bytes or of files; 0: it isn't. */
static uint64_t weigh(const struct ward *w, const struct statvfs *full)
{
    if (bytes_last_ms(full) == 0)
        return w->grown_bytes >= guilt_of(w, full) ? w->grown_bytes : 0;
    return w->grown_files > least(full->f_files, ROOM_FILES) / GUILT_SHARE ? w->grown_files : 0;
}

/* Whether it can be the cause although it was not seen to grow: it isn't seen whole, and enough has
 * gone since it began. */
static bool is_obscure(const struct ward *w, const struct statvfs *full)
{
    uint64_t files = least(full->f_files, ROOM_FILES), bytes = floor_of(full);

    if (!w->hides)
        return false;
    if (bytes_last_ms(full) == 0)
        return gone_since(w, full) > bytes / GUILT_SHARE;
    return w->room_files > full->f_favail && w->room_files - full->f_favail > files / GUILT_SHARE;
}

/* Which of two is the more likely one: the younger. */
static struct ward *younger(struct ward *one, struct ward *other)
{
    return !one || other->started_ms >= one->started_ms ? other : one;
}

/* The one that added most on that file system, or, where none has added enough, the youngest of
 * those that grew and can't be seen whole, or of those that can't be at all; nobody, if one is
 * dying already. */
static struct ward *find_guilty(struct ward *wards, const struct statvfs *full)
{
    struct ward *guilty = NULL, *suspect = NULL, *obscure = NULL;
    uint64_t most = 0;

    for (struct ward *w = wards; w; w = w->next) {
        struct statvfs fs;
        uint64_t weight;

        if (!w->directory || w->at.pid == 0 || statvfs(w->directory, &fs) < 0 ||
            fs.f_fsid != full->f_fsid)
            continue;
        if (w->exit.limit != LIMIT_NONE && !w->exit.stuck) /* that one may never be dead */
            return NULL;
        if (!ward_is_free(w))
            continue;
        weight = weigh(w, full);
        if (weight > 0 && weight >= most) {
            guilty = w;
            most = weight;
        }
        if (w->hides && w->grown_bytes > 0)
            suspect = younger(suspect, w);
        if (is_obscure(w, full))
            obscure = younger(obscure, w);
    }
    suspect = suspect ? suspect : obscure;
    return guilty ? guilty : suspect;
}

static void look_for_room(struct ward *wards, const struct ward *w, uint64_t *wait_ms)
{
    struct ward *guilty;
    uint64_t left_ms;
    struct statvfs fs;

    if (!w->directory || statvfs(w->directory, &fs) < 0)
        return;
    left_ms = bytes_last_ms(&fs) < files_last_ms(&fs) ? bytes_last_ms(&fs) : files_last_ms(&fs);
    if (left_ms < *wait_ms)
        *wait_ms = left_ms > SHORT_MS ? left_ms : SHORT_MS;
    if (left_ms > 0)
        return;
    guilty = find_guilty(wards, &fs);
    if (guilty)
        ward_punish(guilty, LIMIT_ROOM);
}

static void look_at_cgroup(struct ward *w)
{
    struct cgroup_usage usage;

    cgroup_read(w->cgroup, w->group, &usage);
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
