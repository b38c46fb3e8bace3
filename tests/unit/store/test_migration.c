/* Journals of older versions, made from the text of their schema as it was then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "store/journal.h"
#include "support/journalprobe.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/mem.h"

/* As version 1 made it. History: never to be changed. */
static const char version_1[] =
    "PRAGMA journal_mode = WAL;"
    "BEGIN IMMEDIATE;"
    "CREATE TABLE messages ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " ack_id TEXT,"
    " job_id TEXT NOT NULL,"
    " kind TEXT NOT NULL,"
    " mode TEXT NOT NULL,"
    " state TEXT NOT NULL,"
    " prompt TEXT,"
    " system_prompt TEXT,"
    " payload TEXT,"
    " fence INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL,"
    " received_ms INTEGER NOT NULL,"
    " updated_ms INTEGER NOT NULL,"
    " reply_kind TEXT NOT NULL,"
    " reply TEXT,"
    " shortened INTEGER NOT NULL,"
    " cancelled INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX messages_acked ON messages (updated_ms) WHERE state = 'acked';"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 1851877746;"
    "PRAGMA user_version = 1;"
    "COMMIT;"
    "INSERT INTO meta VALUES ('instance_id', 'ccaid_01HZX4QNB7K3V8M2T5R9W6Y1CD');"
    "INSERT INTO messages VALUES"
    " (3, 'm3', 'a3', 'job_A', 'start', 'execute', 'acked', NULL, NULL, NULL, 7, 1, 10, 13,"
    "  'assistant', NULL, 0, 0),"
    " (4, 'm4', 'a4', 'job_A', 'user', 'ask', 'running', 'do it', 'be brief', '{}', 7, 2, 11, 14,"
    "  'none', NULL, 0, 1),"
    " (5, 'm5', 'a5', 'job_B', 'start', 'execute', 'finished', 'do that', NULL, '{}', -1, 1, 12, "
    "15,"
    "  'error', 'it broke', 1, 0),"
    " (9, 'm9', 'a9', 'job_C', 'start', 'execute', 'received', 'x', NULL, '{}', 0, 0, 16, 16,"
    "  'none', NULL, 0, 0);"
    "DELETE FROM messages WHERE seq = 9;";

/* And what made version 2 of it. */
static const char version_2[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE sessions ("
    " job_id TEXT PRIMARY KEY,"
    " runner TEXT NOT NULL,"
    " session TEXT NOT NULL,"
    " updated_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "ALTER TABLE messages ADD COLUMN anew INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE messages ADD COLUMN input_tokens INTEGER;"
    "ALTER TABLE messages ADD COLUMN output_tokens INTEGER;"
    "ALTER TABLE messages ADD COLUMN cache_read_tokens INTEGER;"
    "ALTER TABLE messages ADD COLUMN cache_write_tokens INTEGER;"
    "ALTER TABLE messages ADD COLUMN cost_nano_usd INTEGER;"
    "ALTER TABLE messages ADD COLUMN model TEXT;"
    "PRAGMA user_version = 2;"
    "COMMIT;"
    "INSERT INTO sessions VALUES ('job_A', 'claude', 's1', 77);"
    "UPDATE messages SET anew = 1, input_tokens = 5, output_tokens = 0, cache_read_tokens = 0,"
    " cache_write_tokens = 0, cost_nano_usd = 6, model = 'm' WHERE seq = 5;";

/* And what made version 3 of that. */
static const char version_3[] =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE messages ADD COLUMN unsurveyed INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 3;"
    "COMMIT;"
    "UPDATE messages SET unsurveyed = 2 WHERE seq = 5;";

struct fixture {
    char *dir, *path;
    struct journalprobe p;
};

static void edit(const struct fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    char *words = NULL;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &words) != SQLITE_OK)
        fail_msg("%s", words);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->path = mem_printf("%s/journal.db", f->dir);
    edit(f, version_1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    journalprobe_end(&f->p);
    tempdir_free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static long long number(const struct fixture *f, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    long long n;

    assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt); /* the step went well */
    (void)sqlite3_close(db);
    return n;
}

static void assert_rows_of_version_1(const struct fixture *f)
{
    const struct task *running = f->p.rows[0], *finished = f->p.rows[1];

    assert_int_equal(f->p.row_count, 2);
    assert_true(running->seq == 4 && running->state == TASK_RUNNING && running->attempt == 2);
    assert_string_equal(running->id, "m4");
    assert_string_equal(running->system_prompt, "be brief");
    assert_true(running->kind == TASK_KIND_USER && running->mode == TASK_MODE_ASK);
    assert_true(running->cancelled && !running->shortened && running->fence == 7);
    assert_true(finished->seq == 5 && finished->state == TASK_FINISHED);
    assert_true(finished->fence == UINT64_MAX && finished->reply_kind == TASK_REPLY_ERROR);
    assert_string_equal(finished->reply, "it broke");
    for (size_t i = 0; i < f->p.row_count; i++)
        assert_true(!f->p.rows[i]->anew && !f->p.rows[i]->has_usage &&
                    f->p.rows[i]->unsurveyed == 0 && f->p.rows[i]->unsent == 0);
    assert_int_equal(f->p.tombstone_count, 1);
    assert_string_equal(f->p.tombstones[0], "m3");
    assert_int_equal(f->p.acked_ms[0], 13);
}

static void a_journal_of_version_1_is_read_as_it_was(void **state)
{
    struct fixture *f = *state;

    journalprobe_begin(&f->p, f->dir);
    assert_rows_of_version_1(f);
    assert_int_equal(f->p.session_count, 0);
    assert_int_equal(f->p.job_count, 2); /* whose messages it has */
    assert_string_equal(f->p.jobs[0].job_id, "job_A");
    assert_true(f->p.jobs[0].used_ms == 14 && f->p.jobs[0].fence == 7 && !f->p.jobs[0].leaving);
    assert_true(store_max_seq(f->p.store) == 9); /* what was deleted counts */
    assert_string_equal(store_instance_id(f->p.store), "ccaid_01HZX4QNB7K3V8M2T5R9W6Y1CD");
    journalprobe_end(&f->p);
    assert_int_equal(number(f, "PRAGMA user_version"), JOURNAL_SCHEMA);
    journalprobe_begin(&f->p, f->dir); /* the second time there is nothing to do */
    assert_rows_of_version_1(f);
}

static void a_journal_of_version_2_is_read_as_it_was_and_owes_no_look(void **state)
{
    struct fixture *f = *state;
    const struct task *t;

    edit(f, version_2);
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to do */
        journalprobe_begin(&f->p, f->dir);
        assert_int_equal(f->p.row_count, 2);
        t = f->p.rows[1];
        assert_true(t->state == TASK_FINISHED && t->anew && t->unsurveyed == 0);
        assert_true(t->has_usage && t->usage.input_tokens == 5);
        assert_string_equal(t->reply, "it broke");
        assert_string_equal(t->usage.model, "m");
        assert_int_equal(f->p.session_count, 1);
        assert_string_equal(f->p.sessions[0].session, "s1");
        journalprobe_end(&f->p);
        assert_int_equal(number(f, "PRAGMA user_version"), JOURNAL_SCHEMA);
    }
}

static void a_journal_of_version_3_is_read_as_it_was_and_owes_no_files(void **state)
{
    struct fixture *f = *state;
    const struct task *t;

    edit(f, version_2);
    edit(f, version_3);
    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(f->p.row_count, 2);
    t = f->p.rows[1];
    assert_true(t->anew && t->unsurveyed == 2 && t->unsent == 0);
    assert_true(!t->attachment_ids && !t->unsent_note);
    assert_string_equal(t->reply, "it broke");
    journalprobe_end(&f->p);
    assert_int_equal(number(f, "PRAGMA user_version"), JOURNAL_SCHEMA);
}

static void a_migrated_journal_takes_what_the_new_version_writes(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *t;

    journalprobe_begin(&f->p, f->dir);
    t = f->p.rows[0];
    assert_int_equal(task_step(t, TASK_EV_FINISH), 0);
    t->reply_kind = TASK_REPLY_ASSISTANT;
    t->reply = mem_strdup("done");
    t->anew = true;
    t->unsurveyed = 1;
    t->unsent = 2;
    t->attachment_ids = mem_strdup("att_1");
    t->has_usage = true;
    t->usage = (struct usage){ .input_tokens = 5, .cost_nano_usd = 6, .model = "m" };
    store_batch_update(b, t);
    store_batch_session(b, "job_A", "claude", "s1", 77);
    assert_int_equal(journalprobe_commit(&f->p, b), 0);
    journalprobe_end(&f->p);
    journalprobe_begin(&f->p, f->dir);
    t = f->p.rows[0];
    assert_true(t->anew && t->unsurveyed == 1 && t->has_usage && t->usage.input_tokens == 5);
    assert_int_equal(t->unsent, 2);
    assert_string_equal(t->attachment_ids, "att_1");
    assert_string_equal(t->usage.model, "m");
    assert_int_equal(f->p.session_count, 1);
    assert_string_equal(f->p.sessions[0].session, "s1");
}

static void a_migration_that_fails_leaves_the_journal_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    edit(f, "CREATE TABLE sessions (x INTEGER)"); /* a foreign hand's */
    assert_true(journalprobe_open(&f->p, f->dir, &err) < 0);
    assert_non_null(strstr(err.text, f->path));
    assert_int_equal(number(f, "PRAGMA user_version"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM pragma_table_info('messages')"), 18);
    assert_int_equal(number(f, "SELECT count(*) FROM messages"), 3);
    edit(f, "DROP TABLE sessions");
    journalprobe_begin(&f->p, f->dir);
    assert_rows_of_version_1(f);
}

static void a_row_that_we_cannot_have_written_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    int r;

    journalprobe_begin(&f->p, f->dir);
    journalprobe_end(&f->p);
    edit(f, "UPDATE messages SET input_tokens = 1, model = printf('%080d', 0) WHERE seq = 4");
    assert_int_equal(journalprobe_open(&f->p, f->dir, &err), 0);
    r = journalprobe_load(&f->p, &err);
    assert_int_equal(r, -EBADMSG);
    assert_non_null(strstr(err.text, "message 4"));
    journalprobe_end(&f->p);
    edit(f, "UPDATE messages SET input_tokens = NULL, model = NULL, unsurveyed = -1 WHERE seq = 4");
    assert_int_equal(journalprobe_open(&f->p, f->dir, &err), 0);
    assert_int_equal(journalprobe_load(&f->p, &err), -EBADMSG);
    journalprobe_end(&f->p);
    edit(f, "UPDATE messages SET unsurveyed = 0, unsent = -1 WHERE seq = 4");
    assert_int_equal(journalprobe_open(&f->p, f->dir, &err), 0);
    assert_int_equal(journalprobe_load(&f->p, &err), -EBADMSG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_journal_of_version_1_is_read_as_it_was),
        TEST(a_journal_of_version_2_is_read_as_it_was_and_owes_no_look),
        TEST(a_journal_of_version_3_is_read_as_it_was_and_owes_no_files),
        TEST(a_migrated_journal_takes_what_the_new_version_writes),
        TEST(a_migration_that_fails_leaves_the_journal_as_it_was),
        TEST(a_row_that_we_cannot_have_written_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
