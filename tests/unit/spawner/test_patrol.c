#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/cgroup.h"
#include "spawner/patrol.h"
#include "spawner/ward.h"
#include "support/tempdir.h"
#include "util/mem.h"

/* Tasks without processes, on file systems that are told here, in cgroups that are folders. */
enum { TASKS = 4, NOW_MS = 1000000 };
static const uint64_t mib = 1 << 20, gib = UINT64_C(1) << 30;

/* Of the directories whose names begin so; the first one is the first task's, and so on. */
struct disk {
    uint64_t total_bytes, free_bytes, total_files, free_files;
};

struct fixture {
    struct patrol patrol;
    struct ward *wards[TASKS];
    struct disk disks[TASKS];
};

int __wrap_statvfs(const char *path, struct statvfs *fs);
static struct fixture *current; /* what that can't be given */

int __wrap_statvfs(const char *path, struct statvfs *fs)
{
    const struct disk *d = &current->disks[path[0] - '0'];

    *fs = (struct statvfs){ .f_frsize = 4096,
                            .f_blocks = d->total_bytes / 4096,
                            .f_bavail = d->free_bytes / 4096,
                            .f_files = d->total_files,
                            .f_favail = d->free_files,
                            .f_fsid = (unsigned long)path[0] };
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    for (size_t i = 0; i < TASKS; i++) {
        f->disks[i] = (struct disk){ 100 * gib, 50 * gib, 1000000, 500000 };
        f->wards[i] = ward_new(i + 1);
        f->wards[i]->at.pid = 1; /* nothing is done to it: there is no pidfd */
        f->wards[i]->room_bytes = 50 * gib;
        f->wards[i]->started_ms = NOW_MS - 1000 + i;
        f->wards[i]->next = i > 0 ? f->wards[i - 1] : NULL;
    }
    current = f;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < TASKS; i++)
        ward_free(f->wards[i]);
    current = NULL;
    free(f);
    return 0;
}

/* All on the first disk. */
static void share_a_disk(struct fixture *f)
{
    for (size_t i = 0; i < TASKS; i++)
        f->wards[i]->directory = mem_strdup("0");
}

/* Looks at once, and returns in how many milliseconds it would again. */
static uint64_t walk(struct fixture *f)
{
    f->patrol.due_ms = WARD_NEVER;
    patrol_walk(&f->patrol, f->wards[TASKS - 1], NOW_MS);
    return f->patrol.due_ms - NOW_MS;
}

/* Which of them was ended: its number; 0: none. limit: for that. */
static uint64_t ended(const struct fixture *f, enum limit limit)
{
    uint64_t task = 0;

    for (size_t i = 0; i < TASKS; i++) {
        assert_int_equal(f->wards[i]->killed, f->wards[i]->exit.limit != LIMIT_NONE);
        if (f->wards[i]->exit.limit == LIMIT_NONE)
            continue;
        assert_int_equal(f->wards[i]->exit.limit, limit);
        assert_int_equal(task, 0);
        task = f->wards[i]->task;
    }
    return task;
}

static void with_room_nobody_is_ended(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->wards[1]->grown_bytes = 40 * gib;
    f->wards[1]->grown_files = 400000;
    assert_in_range(walk(f), 500, 1000);
    assert_int_equal(ended(f, LIMIT_ROOM), 0);
}

static void rounds_get_shorter_before_room_can_be_gone(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->disks[0].free_bytes = gib + 200 * mib;
    assert_in_range(walk(f), 50, 250);
    f->disks[0].free_bytes = 50 * gib;
    f->disks[0].free_files = 16384 + 30000;
    assert_in_range(walk(f), 50, 150);
    assert_int_equal(ended(f, LIMIT_ROOM), 0);
}

static void who_added_most_is_ended_when_room_gets_short(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->disks[0].free_bytes = gib - mib;
    for (size_t i = 0; i < TASKS; i++)
        f->wards[i]->grown_bytes = (10 + i % 2) * gib; /* the second and the fourth one */
    f->wards[1]->grown_bytes += mib;
    f->wards[0]->grown_files = 400000; /* which aren't short */
    assert_int_equal(walk(f), 50);
    assert_int_equal(ended(f, LIMIT_ROOM), 2);
    (void)walk(f); /* it may take a while to die: nobody else has to */
    assert_int_equal(ended(f, LIMIT_ROOM), 2);
}

static void who_made_most_files_is_ended_when_those_get_short(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->disks[0].free_files = 16384;
    f->wards[0]->grown_bytes = 40 * gib; /* which aren't short */
    f->wards[0]->grown_files = 100;
    f->wards[2]->grown_bytes = 32 * mib;
    f->wards[2]->grown_files = 8000;
    f->wards[3]->grown_files = 3000;
    assert_int_equal(walk(f), 50);
    assert_int_equal(ended(f, LIMIT_ROOM), 3);
}

static void a_file_system_that_counts_no_files_is_never_short_of_them(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->disks[0].total_files = f->disks[0].free_files = 0;
    f->wards[0]->grown_files = 400000;
    assert_in_range(walk(f), 500, 1000);
    assert_int_equal(ended(f, LIMIT_ROOM), 0);
}

static void nobody_is_ended_for_what_others_fill(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->disks[0].free_bytes = 0;
    f->wards[0]->grown_bytes = gib; /* of fifty that have gone */
    f->wards[1]->grown_bytes = 100 * mib;
    assert_int_equal(walk(f), 50);
    f->disks[0].free_bytes = 50 * gib;
    f->disks[0].free_files = 0;
    f->wards[0]->grown_files = 2000;
    assert_int_equal(walk(f), 50);
    assert_int_equal(ended(f, LIMIT_ROOM), 0);
}

static void who_fills_another_disk_stays(void **state)
{
    struct fixture *f = *state;

    f->wards[0]->directory = mem_strdup("0");
    f->wards[1]->directory = mem_strdup("1");
    f->disks[0].free_bytes = 0;
    f->wards[0]->grown_bytes = 30 * gib;
    f->wards[1]->grown_bytes = 40 * gib;
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_ROOM), 1);
}

static void of_those_that_hide_what_they_have_the_youngest_is_ended(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->disks[0].free_bytes = 0;
    for (size_t i = 0; i < TASKS - 1; i++)
        f->wards[i]->grown_bytes = mib;
    f->wards[0]->hides = f->wards[1]->hides = true;
    f->wards[3]->hides = true; /* and has added nothing */
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_ROOM), 2);
}

/* There is nothing by which to tell it from the others but that it hides. */
static void who_hides_all_that_it_has_is_ended_where_enough_has_gone_since_it_began(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->wards[2]->hides = true;
    f->disks[0].free_bytes = 0;
    f->wards[2]->room_bytes = gib / 16; /* there was hardly more */
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_ROOM), 0);
    f->wards[2]->room_bytes = gib;
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_ROOM), 3);
}

static void who_hides_all_its_files_is_ended_likewise(void **state)
{
    struct fixture *f = *state;

    share_a_disk(f);
    f->wards[2]->hides = true;
    f->disks[0].free_files = 0;
    f->wards[2]->room_files = 1000;
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_ROOM), 0);
    f->wards[2]->room_files = 10000;
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_ROOM), 3);
}

/* ---- cgroups ---- */

static void what_the_kernel_counts_and_ends_is_an_end_of_the_task(void **state)
{
    struct fixture *f = *state;
    char *mount = tempdir_new();
    struct cgroup *cgroup = NULL;

    tempdir_mkdir(mount, "unit");
    tempdir_put(mount, "unit/cgroup.controllers", "cpu memory pids\n");
    tempdir_put(mount, "unit/cgroup.procs", "");
    assert_int_equal(cgroup_find(mount, "/unit", &cgroup, NULL), 0);
    tempdir_mkdir(mount, "unit/nairid.task-7");
    f->wards[2]->cgroup = cgroup;
    f->wards[2]->group = 7;
    f->wards[2]->cpu_time_ms = 2000;
    tempdir_put(mount, "unit/nairid.task-7/memory.events", "low 0\nmax 9\noom 0\noom_kill 0\n");
    tempdir_put(mount, "unit/nairid.task-7/cpu.stat", "usage_usec 2000999\nuser_usec 9000000\n");
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_CPU_TIME), 0);
    tempdir_put(mount, "unit/nairid.task-7/cpu.stat", "usage_usec 2001000\nuser_usec 1\n");
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_CPU_TIME), 3);
    f->wards[2]->killed = false;
    f->wards[2]->exit.limit = LIMIT_NONE;
    tempdir_put(mount, "unit/nairid.task-7/memory.events", "low 0\nmax 9\noom 1\noom_kill 1\n");
    (void)walk(f);
    assert_int_equal(ended(f, LIMIT_MEMORY), 3);
    f->wards[2]->cgroup = NULL;
    cgroup_free(cgroup);
    tempdir_free(mount);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(with_room_nobody_is_ended),
        TEST(rounds_get_shorter_before_room_can_be_gone),
        TEST(who_added_most_is_ended_when_room_gets_short),
        TEST(who_made_most_files_is_ended_when_those_get_short),
        TEST(a_file_system_that_counts_no_files_is_never_short_of_them),
        TEST(nobody_is_ended_for_what_others_fill),
        TEST(who_fills_another_disk_stays),
        TEST(of_those_that_hide_what_they_have_the_youngest_is_ended),
        TEST(who_hides_all_that_it_has_is_ended_where_enough_has_gone_since_it_began),
        TEST(who_hides_all_its_files_is_ended_likewise),
        TEST(what_the_kernel_counts_and_ends_is_an_end_of_the_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
