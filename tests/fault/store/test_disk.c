/* The disk fails under the journal: full, over its quota, or broken, at every call that SQLite
 * makes. The calls are replaced here, in the program: the dynamic linker then takes ours for
 * SQLite's too. And one disk is really full: a small tmpfs in a mount namespace of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/journalprobe.h"
#include "support/ownmounts.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

/* ---- failing calls ---- */

enum fault_call { FAULT_WRITE = 1, FAULT_SYNC = 2 };

/* Which calls fail, from the skip-th on, how many of them, and on which file. */
static struct {
    atomic_int calls;   /* of enum fault_call; 0: none fails */
    atomic_int skip;    /* so many succeed first */
    atomic_int count;   /* so many fail then */
    atomic_int code;    /* with this errno */
    const char *suffix; /* of the file's name; NULL: any file of the journal */
} fault;

static void set_fault(int calls, const char *suffix, int skip, int count, int code)
{
    fault.suffix = suffix;
    atomic_store(&fault.skip, skip);
    atomic_store(&fault.count, count);
    atomic_store(&fault.code, code);
    atomic_store(&fault.calls, calls);
}

static void clear_fault(void)
{
    atomic_store(&fault.calls, 0);
}

static bool is_struck(enum fault_call call, int fd)
{
    char path[64], name[4096];
    ssize_t n;

    if (!(atomic_load(&fault.calls) & (int)call))
        return false;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    n = readlink(path, name, sizeof name - 1);
    if (n < 0)
        return false;
    name[n] = '\0';
    if (!strstr(name, "journal.db") || (fault.suffix && !str_ends_with(name, fault.suffix)))
        return false;
    if (atomic_fetch_sub(&fault.skip, 1) > 0 || atomic_fetch_sub(&fault.count, 1) <= 0)
        return false;
    errno = atomic_load(&fault.code);
    return true;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    return is_struck(FAULT_WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, len, at);
}

int fdatasync(int fd)
{
    return is_struck(FAULT_SYNC, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* ---- fixture ---- */

struct fixture {
    char *dir;
    struct journalprobe p;
    struct err err;
    uint64_t seq;
    bool mounted;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    clear_fault();
    journalprobe_end(&f->p);
    if (f->mounted)
        (void)umount2(f->dir, MNT_DETACH); /* else its removal tells */
    tempdir_free(f->dir);
    free(f);
    return 0;
}

/* A batch of two messages with a text of so many bytes. */
static struct store_batch *batch_of(struct fixture *f, size_t text)
{
    struct store_batch *b = store_batch_new();

    for (int i = 0; i < 2; i++) {
        struct task *t = journalprobe_task(++f->seq);

        free(t->prompt);
        t->prompt = mem_alloc(text + 1);
        memset(t->prompt, 'x', text);
        store_batch_insert(b, t);
        task_free(t);
    }
    return b;
}

static int commit(struct fixture *f, size_t text)
{
    return journalprobe_commit(&f->p, batch_of(f, text));
}

static size_t rows_after_restart(struct fixture *f)
{
    journalprobe_end(&f->p);
    journalprobe_begin(&f->p, f->dir);
    return f->p.row_count;
}

static off_t reserve_size(const struct fixture *f)
{
    AUTO_FREE char *path = mem_printf("%s/reserve", f->dir);
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void assert_says(const struct err *err, const char *words)
{
    if (!strstr(err->text, words))
        fail_msg("'%s' is not in: %s", words, err->text);
}

/* ---- broken disk ---- */

static void a_failed_sync_fails_the_batch_and_all_after_it(void **state)
{
    struct fixture *f = *state;
    size_t rows;

    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(commit(f, 10), 0);
    set_fault(FAULT_SYNC, NULL, 0, 1, EIO);
    assert_int_equal(commit(f, 10), -EIO);
    assert_says(&f->p.err, "journal.db");
    assert_says(&f->p.err, "Input/output error");
    assert_says(&f->p.err, "kernel's log");
    /* the disk works again, and still nobody knows what is on it */
    assert_int_equal(commit(f, 10), -EIO);
    rows = rows_after_restart(f);
    assert_true(rows == 2 || rows == 4); /* the one whose fate was open; never the third */
    assert_null(journalprobe_find(&f->p, "msg_5"));
    assert_int_equal(commit(f, 10), 0);
}

/* Each write of a batch in turn. */
static void a_failed_write_anywhere_leaves_whole_batches(void **state)
{
    struct fixture *f = *state;
    size_t rows = 2;
    int failures = 0;

    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(commit(f, 10000), 0);
    for (int skip = 0; skip < 40; skip++) {
        int r;

        set_fault(FAULT_WRITE, NULL, skip, 1, EIO);
        r = commit(f, 10000);
        clear_fault();
        assert_true(r == 0 || r == -EIO);
        failures += r < 0;
        rows += r == 0 ? 2 : 0;
        if (r < 0)
            f->seq -= 2;
        assert_int_equal(rows_after_restart(f), rows);
    }
    assert_true(failures >= 5 && failures < 40);
}

static void a_start_on_a_broken_disk_says_so_and_the_next_one_works(void **state)
{
    struct fixture *f = *state;
    int failures = 0;

    for (int calls = FAULT_WRITE; calls <= FAULT_SYNC; calls++)
        for (int skip = 0; skip < 30; skip++) {
            AUTO_FREE char *dir = mem_printf("%s/%d-%d", f->dir, calls, skip);
            int r;

            set_fault(calls, NULL, skip, 1, EIO);
            r = journalprobe_open(&f->p, dir, &f->err);
            clear_fault();
            if (r < 0) {
                assert_int_equal(r, -EIO);
                assert_says(&f->err, "journal.db");
                failures++;
            }
            journalprobe_end(&f->p);
            journalprobe_begin(&f->p, dir);
            assert_int_equal(f->p.row_count, 0);
            journalprobe_end(&f->p);
        }
    assert_in_range(failures, 5, 59);
}

static void a_broken_checkpoint_keeps_what_is_committed_and_stops_the_rest(void **state)
{
    struct fixture *f = *state;
    int done = 0;

    journalprobe_begin(&f->p, f->dir);
    set_fault(FAULT_WRITE, "journal.db", 0, 1, EIO);
    while (done < 200 && commit(f, 50000) == 0)
        done++;
    assert_in_range(done, 10, 100); /* about 4 MB of log, then the checkpoint */
    assert_int_equal(f->p.result, -EIO);
    assert_says(&f->p.err, "carry over the journal's log");
    clear_fault();
    assert_int_equal(rows_after_restart(f), 2 * done);
}

/* ---- full disk, told by the calls ---- */

static void a_full_disk_is_met_once_with_the_reserve(void **state)
{
    struct fixture *f = *state;

    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(reserve_size(f), 1024 * 1024);
    set_fault(FAULT_WRITE, NULL, 3, 1, ENOSPC);
    assert_int_equal(commit(f, 10000), 0);
    assert_int_equal(reserve_size(f), 1024 * 1024); /* made again, as there is room in truth */
    set_fault(FAULT_WRITE, NULL, 3, 2, ENOSPC);     /* also with what the reserve gave */
    assert_int_equal(commit(f, 10000), -ENOSPC);
    assert_int_equal(reserve_size(f), 0);
    assert_says(&f->p.err, "no space left");
    assert_says(&f->p.err, "journal.db");
    assert_says(&f->p.err, "make room");
    clear_fault();
    assert_int_equal(rows_after_restart(f), 2);
    assert_int_equal(reserve_size(f), 1024 * 1024); /* made again by the start */
}

static void a_quota_used_up_is_a_full_disk(void **state)
{
    struct fixture *f = *state;

    journalprobe_begin(&f->p, f->dir);
    set_fault(FAULT_WRITE, NULL, 2, 1000, EDQUOT);
    assert_int_equal(commit(f, 10000), -ENOSPC);
    assert_says(&f->p.err, "quota");
    clear_fault();
    assert_int_equal(rows_after_restart(f), 0);
}

static void a_full_disk_at_a_checkpoint_stops_nothing(void **state)
{
    struct fixture *f = *state;
    int done = 0;

    journalprobe_begin(&f->p, f->dir);
    set_fault(FAULT_WRITE, "journal.db", 0, INT32_MAX, ENOSPC);
    while (done < 150 && commit(f, 50000) == 0)
        done++;
    assert_int_equal(done, 150);
    clear_fault();
    assert_int_equal(rows_after_restart(f), 300);
}

static void a_limit_on_the_size_of_files_is_named(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, small;

    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(commit(f, 10), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 256 * 1024;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(commit(f, 500000), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_says(&f->p.err, "limits on the size of files");
    assert_int_equal(rows_after_restart(f), 2);
}

/* ---- a disk that is full ---- */

static void mount_small_disk(struct fixture *f, const char *size)
{
    char options[64];

    (void)snprintf(options, sizeof options, "size=%s,mode=0700", size);
    if (mount("tmpfs", f->dir, "tmpfs", 0, options) < 0) {
        (void)printf("skip: needs root\n");
        skip();
    }
    f->mounted = true;
}

static void a_full_disk_loses_nothing_and_works_again_with_room(void **state)
{
    struct fixture *f = *state;
    size_t done = 0;
    uint64_t attempted;

    mount_small_disk(f, "6m");
    journalprobe_begin(&f->p, f->dir);
    while (done < 1000 && commit(f, 20000) == 0)
        done++;
    assert_in_range(done, 20, 200);
    assert_int_equal(f->p.result, -ENOSPC);
    assert_says(&f->p.err, "no space left");
    assert_int_equal(reserve_size(f), 0);
    attempted = f->seq;

    /* a restart on the full disk still opens and reads */
    assert_int_equal(rows_after_restart(f), 2 * done);
    assert_true(f->p.rows[f->p.row_count - 1]->seq == attempted - 2);
    journalprobe_end(&f->p);

    /* room is made */
    {
        AUTO_FREE char *size = mem_printf("size=12m,mode=0700");

        assert_int_equal(mount("tmpfs", f->dir, "tmpfs", MS_REMOUNT, size), 0);
    }
    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(commit(f, 20000), 0);
    assert_int_equal(reserve_size(f), 1024 * 1024);
    assert_int_equal(rows_after_restart(f), 2 * done + 2);
}

/* While the reserve is gone the store says so, and finds by itself that there is room again. */
static void a_tight_disk_is_told_until_it_has_room(void **state)
{
    struct fixture *f = *state;
    size_t done = 0;

    mount_small_disk(f, "6m");
    journalprobe_begin(&f->p, f->dir);
    assert_false(f->p.tight);
    while (done < 1000 && !f->p.tight && commit(f, 20000) == 0)
        done++;
    assert_true(f->p.tight);
    assert_int_equal(f->p.result, 0);
    assert_int_equal(reserve_size(f), 0);
    assert_int_equal(commit(f, 10), 0); /* what is needed to finish still fits */
    journalprobe_end(&f->p);
    journalprobe_begin(&f->p, f->dir);
    assert_true(f->p.tight); /* from the start */
    assert_int_equal(mount("tmpfs", f->dir, "tmpfs", MS_REMOUNT, "size=12m,mode=0700"), 0);
    journalprobe_wait_room(&f->p, false);
    assert_int_equal(reserve_size(f), 1024 * 1024);
    assert_int_equal(commit(f, 20000), 0);
}

static void a_disk_too_small_for_a_journal_is_named_at_the_start(void **state)
{
    struct fixture *f = *state;

    mount_small_disk(f, "8k");
    assert_int_equal(journalprobe_open(&f->p, f->dir, &f->err), -ENOSPC);
    assert_says(&f->err, "no space left");
    assert_says(&f->err, f->dir);
}

static void a_read_only_disk_is_named_at_the_start(void **state)
{
    struct fixture *f = *state;

    mount_small_disk(f, "8m");
    assert_int_equal(mount("tmpfs", f->dir, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_int_equal(journalprobe_open(&f->p, f->dir, &f->err), -EROFS);
    assert_says(&f->err, f->dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_failed_sync_fails_the_batch_and_all_after_it),
        TEST(a_failed_write_anywhere_leaves_whole_batches),
        TEST(a_start_on_a_broken_disk_says_so_and_the_next_one_works),
        TEST(a_broken_checkpoint_keeps_what_is_committed_and_stops_the_rest),
        TEST(a_full_disk_is_met_once_with_the_reserve),
        TEST(a_quota_used_up_is_a_full_disk),
        TEST(a_full_disk_at_a_checkpoint_stops_nothing),
        TEST(a_limit_on_the_size_of_files_is_named),
        TEST(a_full_disk_loses_nothing_and_works_again_with_room),
        TEST(a_tight_disk_is_told_until_it_has_room),
        TEST(a_disk_too_small_for_a_journal_is_named_at_the_start),
        TEST(a_read_only_disk_is_named_at_the_start),
    };

    (void)ownmounts_enter(); /* where it fails, so do the mounts, and those tests skip */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
