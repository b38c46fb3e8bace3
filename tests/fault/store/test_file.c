/* A journal's file that was damaged, cut, exchanged or written by another hand: it is refused with
 * a sentence and left as it is, or what is whole in it is read; never anything in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/journal.h"
#include "support/journalprobe.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

enum { FILE_MAX = 64 * 1024 * 1024, BATCH = 5 };

struct fixture {
    char *dir, *db, *wal;
    struct journalprobe p;
    struct err err;
    struct buf old_db, old_wal;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->db = mem_printf("%s/journal.db", f->dir);
    f->wal = mem_printf("%s/journal.db-wal", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    journalprobe_end(&f->p);
    tempdir_free(f->dir);
    free(f->db);
    free(f->wal);
    buf_done(&f->old_db);
    buf_done(&f->old_wal);
    free(f);
    return 0;
}

/* ---- files ---- */

static void slurp(const char *path, struct buf *b)
{
    buf_clear(b);
    if (access(path, F_OK) == 0)
        assert_int_equal(fd_read_file(path, FILE_MAX, b, NULL), 0);
}

static void spill(const char *path, const void *bytes, size_t len)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, bytes, len), 0);
}

static void remember(struct fixture *f)
{
    slurp(f->db, &f->old_db);
    slurp(f->wal, &f->old_wal);
}

static void assert_untouched(const struct fixture *f)
{
    CLEANUP(buf_done) struct buf db = { 0 }, wal = { 0 };

    slurp(f->db, &db);
    slurp(f->wal, &wal);
    assert_int_equal(db.len, f->old_db.len);
    assert_int_equal(wal.len, f->old_wal.len);
    if (db.len)
        assert_memory_equal(db.data, f->old_db.data, db.len);
    if (wal.len)
        assert_memory_equal(wal.data, f->old_wal.data, wal.len);
}

/* ---- journals ---- */

/* Commits batches of BATCH messages each. */
static void fill(struct fixture *f, unsigned batches)
{
    journalprobe_begin(&f->p, f->dir);
    for (unsigned i = 0; i < batches; i++) {
        struct store_batch *b = store_batch_new();

        for (unsigned k = 0; k < BATCH; k++) {
            struct task *t = journalprobe_task((uint64_t)i * BATCH + k + 1);

            store_batch_insert(b, t);
            task_free(t);
        }
        assert_int_equal(journalprobe_commit(&f->p, b), 0);
    }
}

/* A journal of some batches in an orderly end: no WAL. */
static void fill_and_end(struct fixture *f, unsigned batches)
{
    fill(f, batches);
    journalprobe_end(&f->p);
}

/* As a kill leaves it: db and WAL as they are now. */
static void fill_and_die(struct fixture *f, unsigned batches)
{
    fill(f, batches);
    remember(f);
    journalprobe_end(&f->p);
    spill(f->db, f->old_db.data, f->old_db.len);
    spill(f->wal, f->old_wal.data, f->old_wal.len);
}

static void assert_refused(struct fixture *f, int code, const char *words)
{
    int r;

    remember(f);
    r = journalprobe_open(&f->p, f->dir, &f->err);
    if (r == 0)
        r = journalprobe_load(&f->p, &f->err);
    if (r != code || !strstr(f->err.text, words) || !strstr(f->err.text, f->db))
        fail_msg("want %d and '%s', got %d: %s", code, words, r, f->err.text);
    journalprobe_end(&f->p);
    assert_untouched(f);
}

static void edit(const struct fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    char *words = NULL;

    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &words) != SQLITE_OK)
        fail_msg("%s: %s", sql, words);
    (void)sqlite3_close(db);
}

/* ---- tests ---- */

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct fixture *f = *state;

    spill(f->db, "this is not a database, not by far, and long enough to have a header of SQLite",
          78);
    assert_refused(f, -EBADMSG, "not a database");
    assert_non_null(strstr(f->err.text, "aside"));
    assert_non_null(strstr(f->err.text, "lost"));
}

static void a_database_that_is_no_journal_is_refused(void **state)
{
    struct fixture *f = *state;

    edit(f, "CREATE TABLE things (id INTEGER); PRAGMA user_version = 1");
    assert_refused(f, -EBADMSG, "not a journal of nairid");
    edit(f, "PRAGMA user_version = 0");
    assert_refused(f, -EBADMSG, "not a journal of nairid");
}

static void a_journal_of_a_newer_nairid_is_refused(void **state)
{
    struct fixture *f = *state;

    AUTO_FREE char *sql = mem_printf("PRAGMA user_version = %d", JOURNAL_SCHEMA + 1);
    AUTO_FREE char *words = mem_printf("newer nairid (its version %d, known here up to %d)",
                                       JOURNAL_SCHEMA + 1, JOURNAL_SCHEMA);

    fill_and_end(f, 1);
    edit(f, sql);
    assert_refused(f, -ENOTSUP, words);
    edit(f, "PRAGMA user_version = -1");
    assert_refused(f, -EBADMSG, "no valid version");
}

static void a_journal_that_lost_its_end_is_refused(void **state)
{
    struct fixture *f = *state;

    fill_and_end(f, 40);
    slurp(f->db, &f->old_db);
    for (size_t keep = f->old_db.len - 4096; keep > 0; keep -= keep > 4096 ? 4096 : keep) {
        assert_int_equal(truncate(f->db, (off_t)keep), 0);
        assert_refused(f, -EBADMSG, "can't be used");
    }
}

static void an_empty_file_beside_its_log_is_refused_and_the_log_kept(void **state)
{
    struct fixture *f = *state;

    fill_and_die(f, 3);
    assert_int_equal(truncate(f->db, 0), 0);
    assert_refused(f, -EBADMSG, "missing or empty");
    assert_int_equal(unlink(f->db), 0);
    /* the check makes an empty file in its place, nothing else */
    assert_int_equal(journalprobe_open(&f->p, f->dir, &f->err), -EBADMSG);
    assert_int_equal(access(f->wal, F_OK), 0);
}

static void a_page_of_garbage_is_found_when_opening(void **state)
{
    struct fixture *f = *state;
    size_t pages;

    fill_and_end(f, 40);
    slurp(f->db, &f->old_db);
    pages = f->old_db.len / 4096;
    assert_true(pages > 4);
    for (size_t page = 0; page < pages; page++) {
        AUTO_FREE char *bytes = mem_dup(f->old_db.data, f->old_db.len);
        CLEANUP(buf_done) struct buf good = { 0 };

        memset(bytes + page * 4096, 0xa5, 4096);
        buf_append(&good, f->old_db.data, f->old_db.len);
        spill(f->db, bytes, good.len);
        assert_refused(f, -EBADMSG, "can't be used");
        buf_clear(&f->old_db);
        buf_append(&f->old_db, good.data, good.len);
    }
}

/* xorshift: the same flips in each run. */
static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* A flipped bit in a text can't be found out, one in the structure is; either way all rows come or
 * a sentence does. */
static void flipped_bits_give_a_sentence_or_all_rows(void **state)
{
    enum { ROUNDS = 400, ROWS = 20 * BATCH };
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf good = { 0 };
    uint32_t seed = 20261122;
    int refused = 0;

    fill_and_end(f, 20);
    slurp(f->db, &good);
    for (int i = 0; i < ROUNDS; i++) {
        size_t at = next_random(&seed) % good.len;
        char bit = (char)(1 << next_random(&seed) % 8);

        good.data[at] ^= bit;
        spill(f->db, good.data, good.len);
        (void)unlink(f->wal); /* of the round before, if it was refused late */
        good.data[at] ^= bit;
        f->err.text[0] = '\0';
        if (journalprobe_open(&f->p, f->dir, &f->err) < 0 ||
            journalprobe_load(&f->p, &f->err) < 0) {
            assert_true(strlen(f->err.text) > 40);
            refused++;
        } else {
            assert_int_equal(f->p.row_count + f->p.tombstone_count, ROWS);
        }
        journalprobe_end(&f->p);
    }
    assert_in_range(refused, ROUNDS / 20, ROUNDS);
}

/* The WAL as it is on a disk that lost power: everything after some byte never arrived. */
static void a_log_cut_anywhere_shows_whole_batches_in_order(void **state)
{
    enum { BATCHES = 12 };
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf db = { 0 }, wal = { 0 };
    size_t rows_before = 0, steps = 0;

    fill_and_die(f, BATCHES);
    slurp(f->db, &db);
    slurp(f->wal, &wal);
    for (size_t keep = 0; keep <= wal.len; keep += 509) { /* odd: every phase of a frame */
        size_t len = wal.len - keep < 509 ? wal.len : keep;

        spill(f->db, db.data, db.len);
        spill(f->wal, wal.data, len);
        if (journalprobe_open(&f->p, f->dir, &f->err) < 0 || journalprobe_load(&f->p, &f->err) < 0)
            fail_msg("with %zu bytes: %s", len, f->err.text);
        assert_int_equal(f->p.row_count % BATCH, 0);
        assert_true(f->p.row_count >= rows_before);
        for (size_t i = 0; i < f->p.row_count; i++)
            assert_true(f->p.rows[i]->seq == i + 1);
        steps += f->p.row_count > rows_before;
        rows_before = f->p.row_count;
        journalprobe_end(&f->p);
    }
    assert_int_equal(rows_before, BATCHES * BATCH);
    assert_true(steps == BATCHES);
}

/* Sectors that arrived in another order: garbage in the middle ends what is believed. */
static void garbage_in_the_log_ends_what_is_believed(void **state)
{
    enum { BATCHES = 12 };
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf db = { 0 }, wal = { 0 };
    bool less = false;

    fill_and_die(f, BATCHES);
    slurp(f->db, &db);
    slurp(f->wal, &wal);
    for (size_t at = 0; at + 512 <= wal.len; at += 4096 + 512) {
        AUTO_FREE char *bytes = mem_dup(wal.data, wal.len);

        memset(bytes + at, 0, 512);
        spill(f->db, db.data, db.len);
        spill(f->wal, bytes, wal.len);
        if (journalprobe_open(&f->p, f->dir, &f->err) < 0 || journalprobe_load(&f->p, &f->err) < 0)
            fail_msg("with garbage at %zu: %s", at, f->err.text);
        assert_int_equal(f->p.row_count % BATCH, 0);
        for (size_t i = 0; i < f->p.row_count; i++)
            assert_true(f->p.rows[i]->seq == i + 1);
        less = less || f->p.row_count < BATCHES * BATCH;
        journalprobe_end(&f->p);
    }
    assert_true(less);
}

static void a_row_that_another_hand_spoilt_is_refused_by_number(void **state)
{
    static const struct {
        const char *sql, *words;
    } cases[] = {
        { "UPDATE messages SET state = 'sleeping' WHERE seq = 3", "message 3 in it has a state" },
        { "UPDATE messages SET state = 'gone' WHERE seq = 3", "message 3 in it has a state" },
        { "UPDATE messages SET kind = '' WHERE seq = 3", "message 3 in it has a kind" },
        { "UPDATE messages SET reply_kind = 'x' WHERE seq = 3", "message 3 in it has a kind" },
        { "UPDATE messages SET id = '' WHERE seq = 3", "message 3 in it has no id" },
        { "UPDATE messages SET job_id = '' WHERE seq = 3", "message 3 in it has no job" },
        { "UPDATE messages SET ack_id = NULL WHERE seq = 3", "no id to acknowledge it by" },
        { "UPDATE messages SET state = 'finished', reply = 'x' WHERE seq = 3", "has no reply" },
        { "UPDATE messages SET state = 'finished', reply_kind = 'error' WHERE seq = 3",
          "has no reply" },
        { "UPDATE messages SET input_tokens = 1, model = 'a' || char(7) WHERE seq = 3", "a model" },
        { "UPDATE messages SET seq = -3 WHERE seq = 3", "message -3 in it has a number" },
        { "UPDATE messages SET attempt = -1 WHERE seq = 3", "message 3 in it has a number" },
        { "UPDATE messages SET prompt = 'a' || char(0) || 'b' WHERE seq = 3", "NUL byte" },
        { "UPDATE messages SET state = 'acked', id = '' WHERE seq = 3", "has no id" },
        { "UPDATE meta SET value = 'me'", "instance id is malformed" },
        { "ALTER TABLE messages DROP COLUMN fence", "fence" },
        { "ALTER TABLE messages RENAME TO letters", "no such table" },
        { "DROP TABLE meta", "no such table" },
        { "PRAGMA journal_mode = DELETE; DROP TABLE meta", "no such table" },
        { "ALTER TABLE messages RENAME COLUMN fence TO \"x\n\xff\"", "no column named fence" },
    };
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf good = { 0 };

    fill_and_end(f, 2);
    slurp(f->db, &good);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        spill(f->db, good.data, good.len);
        edit(f, cases[i].sql);
        assert_refused(f, -EBADMSG, cases[i].words);
    }
}

/* With NOT NULL taken out of the schema by force, NULLs get in; the check at the start may not see
 * them then, the rows do. */
static void a_null_where_none_may_be_is_refused(void **state)
{
    static const char *const columns[] = { "id", "job_id", "kind", "mode", "state", "reply_kind" };
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf good = { 0 };

    fill_and_end(f, 2);
    edit(f, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(replace(sql,"
            " 'NOT NULL', ''), 'STRICT', '') WHERE name = 'messages'");
    slurp(f->db, &good);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        AUTO_FREE char *sql = mem_printf("UPDATE messages SET %s = NULL WHERE seq = 3", columns[i]);

        spill(f->db, good.data, good.len);
        edit(f, sql);
        assert_refused(f, -EBADMSG, "can't be used");
    }
}

static void a_trigger_of_another_hand_never_runs(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    fill_and_end(f, 1);
    edit(f, "CREATE TRIGGER t AFTER DELETE ON messages BEGIN DELETE FROM messages; END");
    journalprobe_begin(&f->p, f->dir);
    store_batch_delete(b, "msg_1");
    assert_int_equal(journalprobe_commit(&f->p, b), 0);
    journalprobe_end(&f->p);
    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(f->p.row_count, BATCH - 1);
}

static void a_link_or_folder_in_its_place_is_refused(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *target = mem_printf("%s/elsewhere", f->dir);

    assert_int_equal(symlink("elsewhere", f->db), 0);
    assert_int_equal(journalprobe_open(&f->p, f->dir, &f->err), -EBADMSG);
    assert_non_null(strstr(f->err.text, "symbolic link"));
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(unlink(f->db), 0);
    assert_int_equal(mkdir(f->db, 0700), 0);
    assert_true(journalprobe_open(&f->p, f->dir, &f->err) < 0);
    assert_int_equal(rmdir(f->db), 0);
    assert_int_equal(mkfifo(f->db, 0600), 0);
    assert_int_equal(journalprobe_open(&f->p, f->dir, &f->err), -EBADMSG);
    assert_non_null(strstr(f->err.text, "not a regular file"));
}

static void a_journal_open_in_another_program_is_refused(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = NULL;

    fill_and_end(f, 1);
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE; DELETE FROM messages", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(journalprobe_open(&f->p, f->dir, &f->err), -EBUSY);
    assert_non_null(strstr(f->err.text, "open in another program"));
    (void)sqlite3_close(db);
}

static void a_start_that_died_at_any_point_is_taken_up(void **state)
{
    struct fixture *f = *state;

    spill(f->db, "", 0);
    journalprobe_begin(&f->p, f->dir);
    journalprobe_end(&f->p);
    assert_int_equal(unlink(f->db), 0);
    edit(f, "PRAGMA journal_mode = WAL"); /* the first page, and no schema yet */
    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(f->p.row_count, 0);
    journalprobe_end(&f->p);
    edit(f, "DELETE FROM meta"); /* the schema, and no instance id yet */
    journalprobe_begin(&f->p, f->dir);
    assert_true(store_instance_id(f->p.store)[0] == 'c');
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_is_no_database_is_refused),
        TEST(a_database_that_is_no_journal_is_refused),
        TEST(a_journal_of_a_newer_nairid_is_refused),
        TEST(a_journal_that_lost_its_end_is_refused),
        TEST(an_empty_file_beside_its_log_is_refused_and_the_log_kept),
        TEST(a_page_of_garbage_is_found_when_opening),
        TEST(flipped_bits_give_a_sentence_or_all_rows),
        TEST(a_log_cut_anywhere_shows_whole_batches_in_order),
        TEST(garbage_in_the_log_ends_what_is_believed),
        TEST(a_row_that_another_hand_spoilt_is_refused_by_number),
        TEST(a_null_where_none_may_be_is_refused),
        TEST(a_trigger_of_another_hand_never_runs),
        TEST(a_link_or_folder_in_its_place_is_refused),
        TEST(a_journal_open_in_another_program_is_refused),
        TEST(a_start_that_died_at_any_point_is_taken_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
