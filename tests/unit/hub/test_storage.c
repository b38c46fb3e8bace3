#include "hub/storage.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/db.h"
#include "loop/loop.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/mem.h"

/* A storage on a database of one table, whose operations insert a number; and what came back, in
 * order. */
struct fixture {
    char *dir, *path;
    struct loop *loop;
    struct storage *storage;
    char seen[256];
};

struct insert {
    struct storage_op op;
    int64_t n;
    int answer;
    unsigned runs, kept;
};

static int run_insert(struct storage_op *op, struct model *m)
{
    struct insert *i = (struct insert *)op;
    int64_t rc = db_run(m->db, "INSERT INTO t (n) VALUES (?1)", "i", i->n);

    i->runs++;
    return rc < 0 ? (int)rc : i->answer;
}

static void kept_insert(struct storage_op *op, struct model *m)
{
    (void)m;
    ((struct insert *)op)->kept++;
}

static void done_insert(struct storage_op *op, int result, void *ctx)
{
    struct fixture *f = ctx;
    size_t used = strlen(f->seen);

    snprintf(f->seen + used, sizeof f->seen - used, "%d:%d ", (int)((struct insert *)op)->n,
             result);
}

static struct db *open_db(const char *path)
{
    struct db *db = NULL;

    assert_int_equal(db_open(path, true, &db, NULL), 0);
    assert_int_equal(db_script(db, "CREATE TABLE IF NOT EXISTS t (n INTEGER UNIQUE)"), 0);
    return db;
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->path = mem_printf("%s/x.db", f->dir);
    assert_int_equal(loop_new(&f->loop, NULL), 0);
    assert_int_equal(storage_new(f->loop, open_db(f->path), NULL, f, &f->storage, NULL), 0);
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

struct gate {
    struct storage_op op;
    int pipe[2];
    bool open;
};

static int run_gate(struct storage_op *op, struct model *m)
{
    struct gate *gate = (struct gate *)op;
    char byte;

    (void)m;
    if (!gate->open) /* it may be in the batch that it held up, and that may run twice */
        gate->open = read(gate->pipe[0], &byte, 1) == 1;
    return gate->open ? 0 : -EIO;
}

static void done_gate(struct storage_op *op, int result, void *ctx)
{
    (void)op;
    (void)ctx;
    assert_int_equal(result, 0);
}

/* All in one batch: the thread is kept busy until they have all been given. */
static void give_all(struct fixture *f, struct insert *inserts, size_t count)
{
    struct gate gate = { .op = { .run = run_gate, .done = done_gate } };

    assert_int_equal(pipe(gate.pipe), 0);
    storage_give(f->storage, &gate.op);
    for (size_t i = 0; i < count; i++) {
        inserts[i].op.run = inserts[i].op.run ? inserts[i].op.run : run_insert;
        inserts[i].op.kept = kept_insert;
        inserts[i].op.done = done_insert;
        storage_give(f->storage, &inserts[i].op);
    }
    assert_int_equal(write(gate.pipe[1], "g", 1), 1);
    storage_free(TAKE_PTR(f->storage)); /* finishes, calling done */
    close(gate.pipe[0]);
    close(gate.pipe[1]);
}

/* The numbers in the table, in order. */
static void table_is(struct fixture *f, const char *expected)
{
    struct db *db = open_db(f->path);
    struct query *q = db_query(db, "SELECT group_concat(n, ' ') FROM t ORDER BY n", "");

    assert_int_equal(query_next(q), 1);
    assert_string_equal(query_is_null(q, 0) ? "" : query_text(q, 0), expected);
    query_end(q);
    db_close(db);
}

static void operations_are_kept_and_done_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct insert inserts[] = { { .n = 1 }, { .n = 2, .op.durable = true }, { .n = 3 } };

    give_all(f, inserts, ARRAY_SIZE(inserts));
    assert_string_equal(f->seen, "1:0 2:0 3:0 ");
    table_is(f, "1 2 3");
    for (size_t i = 0; i < ARRAY_SIZE(inserts); i++)
        assert_int_equal(inserts[i].kept, 1);
}

static void a_failed_operation_leaves_the_others_alone(void **state)
{
    struct fixture *f = *state;
    struct insert inserts[] = { { .n = 1 }, { .n = 1 }, { .n = 2, .answer = -EPERM }, { .n = 3 } };
    char expected[64];

    snprintf(expected, sizeof expected, "1:0 1:%d 2:%d 3:0 ", -EEXIST, -EPERM);
    give_all(f, inserts, ARRAY_SIZE(inserts));
    assert_string_equal(f->seen, expected);
    table_is(f, "1 3");
    assert_non_null(strstr(inserts[1].op.error, "UNIQUE"));
    assert_int_equal(inserts[1].kept, 0);
}

static void what_is_discarded_is_no_failure_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct insert inserts[] = { { .n = 1, .answer = STORAGE_DISCARD }, { .n = 2 } };

    give_all(f, inserts, ARRAY_SIZE(inserts));
    assert_string_equal(f->seen, "1:0 2:0 ");
    table_is(f, "2");
}

/* What a full disk does: SQLite ends the whole transaction. */
static int run_rollback(struct storage_op *op, struct model *m)
{
    ((struct insert *)op)->runs++;
    assert_int_equal(db_script(m->db, "ROLLBACK"), 0);
    return -ENOSPC;
}

static void when_one_ends_the_transaction_the_others_run_once_more(void **state)
{
    struct fixture *f = *state;
    struct insert inserts[] = { { .n = 1 }, { .n = 2, .op.run = run_rollback }, { .n = 3 } };
    char expected[64];

    snprintf(expected, sizeof expected, "1:0 2:%d 3:0 ", -ENOSPC);
    give_all(f, inserts, ARRAY_SIZE(inserts));
    assert_string_equal(f->seen, expected);
    table_is(f, "1 3");
    assert_int_equal(inserts[0].runs, 2);
    assert_int_equal(inserts[2].kept, 1);
}

static void what_another_connection_commits_is_seen_at_once(void **state)
{
    struct fixture *f = *state;
    struct insert inserts[] = { { .n = 7 } };
    struct db *other = open_db(f->path);
    char expected[32];

    assert_int_equal(db_run(other, "INSERT INTO t (n) VALUES (7)", ""), 1);
    db_close(other);
    snprintf(expected, sizeof expected, "7:%d ", -EEXIST);
    give_all(f, inserts, ARRAY_SIZE(inserts));
    assert_string_equal(f->seen, expected);
}

static void a_thousand_operations_all_come_back(void **state)
{
    enum { MANY = 1000 };
    struct fixture *f = *state;
    struct insert *inserts = mem_calloc(MANY, sizeof *inserts);
    struct db *db;
    int64_t n;

    for (size_t i = 0; i < MANY; i++)
        inserts[i].n = (int64_t)i;
    give_all(f, inserts, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(inserts[i].kept, 1);
    db = open_db(f->path);
    assert_int_equal(db_get(db, &n, "SELECT count(*) FROM t", ""), 1);
    assert_int_equal(n, MANY);
    db_close(db);
    free(inserts);
}

int main(void)
{
#define STORAGE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORAGE_TEST(operations_are_kept_and_done_in_their_order),
        STORAGE_TEST(a_failed_operation_leaves_the_others_alone),
        STORAGE_TEST(what_is_discarded_is_no_failure_and_leaves_nothing),
        STORAGE_TEST(when_one_ends_the_transaction_the_others_run_once_more),
        STORAGE_TEST(what_another_connection_commits_is_seen_at_once),
        STORAGE_TEST(a_thousand_operations_all_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
