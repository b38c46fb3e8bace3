/* What the hub's storage does to the disk, and what it says when the disk fails. SQLite's calls of
 * fsync(2) and fdatasync(2) come here, as a program's own symbols go before a library's. */
#include "hub/storage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/db.h"
#include "loop/loop.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/mem.h"

/* Counted and failed from the storage's thread too. */
static atomic_uint syncs;
static atomic_bool disk_fails;

static int sync_file(long call, int fd)
{
    atomic_fetch_add(&syncs, 1);
    if (atomic_load(&disk_fails)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int fsync(int fd)
{
    return sync_file(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_file(SYS_fdatasync, fd);
}

struct fixture {
    char *dir, *path;
    struct loop *loop;
    struct storage *storage;
};

struct insert {
    struct storage_op op;
    int64_t n;
    unsigned syncs_at_done;
    int result;
};

static int run_insert(struct storage_op *op, struct model *m)
{
    int64_t rc = db_run(m->db, "INSERT INTO t (n) VALUES (?1)", "i", ((struct insert *)op)->n);

    return rc < 0 ? (int)rc : 0;
}

static void done_insert(struct storage_op *op, int result, void *ctx)
{
    struct insert *i = (struct insert *)op;
    struct fixture *f = ctx;

    i->syncs_at_done = atomic_load(&syncs);
    i->result = result;
    loop_stop(f->loop);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    struct db *db = NULL;

    atomic_store(&disk_fails, false);
    f->dir = tempdir_new();
    f->path = mem_printf("%s/x.db", f->dir);
    if (loop_new(&f->loop, NULL) < 0 || db_open(f->path, true, &db, NULL) < 0 ||
        db_script(db, "CREATE TABLE t (n INTEGER)") < 0 ||
        storage_new(f->loop, db, NULL, f, &f->storage, NULL) < 0)
        return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    storage_free(f->storage);
    loop_free(f->loop);
    tempdir_free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

/* Carries it out alone; returns how often the disk was synced for it. */
static unsigned insert_one(struct fixture *f, struct insert *i)
{
    unsigned before = atomic_load(&syncs);

    i->op.run = run_insert;
    i->op.done = done_insert;
    storage_give(f->storage, &i->op);
    loop_run(f->loop);
    return i->syncs_at_done - before;
}

static void is_stored(struct fixture *f, int64_t n, bool expected)
{
    struct db *db = NULL;
    int64_t found;

    assert_int_equal(db_open(f->path, false, &db, NULL), 0);
    assert_int_equal(db_get(db, &found, "SELECT n FROM t WHERE n = ?1", "i", n), expected);
    db_close(db);
}

static void what_is_durable_is_done_only_after_a_sync(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 5; i++) {
        struct insert durable = { .n = i, .op.durable = true };

        assert_true(insert_one(f, &durable) >= 1);
        assert_int_equal(durable.result, 0);
        is_stored(f, i, true);
    }
}

static void what_is_not_durable_waits_for_no_disk(void **state)
{
    struct fixture *f = *state;
    struct insert first = { .n = 1, .op.durable = true };
    struct insert relaxed = { .n = 2 };
    struct insert last = { .n = 3, .op.durable = true };

    (void)insert_one(f, &first);
    assert_int_equal(insert_one(f, &relaxed), 0);
    assert_int_equal(relaxed.result, 0);
    assert_true(insert_one(f, &last) >= 1);
}

static void a_sync_that_fails_fails_the_operation_and_the_next_works(void **state)
{
    struct fixture *f = *state;
    struct insert good = { .n = 1, .op.durable = true };
    struct insert bad = { .n = 2, .op.durable = true };
    struct insert again = { .n = 3, .op.durable = true };

    (void)insert_one(f, &good);
    atomic_store(&disk_fails, true);
    (void)insert_one(f, &bad);
    assert_int_equal(bad.result, -EIO);
    assert_string_not_equal(bad.op.error, "");
    atomic_store(&disk_fails, false);
    (void)insert_one(f, &again);
    assert_int_equal(again.result, 0);
    is_stored(f, 1, true);
    is_stored(f, 2, false);
    is_stored(f, 3, true);
}

int main(void)
{
#define DISK_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        DISK_TEST(what_is_durable_is_done_only_after_a_sync),
        DISK_TEST(what_is_not_durable_waits_for_no_disk),
        DISK_TEST(a_sync_that_fails_fails_the_operation_and_the_next_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
