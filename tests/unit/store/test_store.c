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
#include <unistd.h>
#include <cmocka.h>

#include "store/store.h"
#include "support/journalprobe.h"
#include "support/tempdir.h"
#include "task/task.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/ulid.h"

struct fixture {
    char *dir;
    struct journalprobe p;
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

    journalprobe_end(&f->p);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

/* Ends the store and begins again with what is on the disk. */
static void reopen(struct fixture *f)
{
    journalprobe_end(&f->p);
    journalprobe_begin(&f->p, f->dir);
}

static void insert(struct store_batch *b, uint64_t seq)
{
    struct task *t = journalprobe_task(seq);

    store_batch_insert(b, t);
    task_free(t);
}

static void commit(struct fixture *f, struct store_batch *b)
{
    if (journalprobe_commit(&f->p, b) < 0)
        fail_msg("%s", f->p.err.text);
}

static void assert_same_task(const struct task *a, const struct task *b)
{
    assert_int_equal(a->state, b->state);
    assert_true(a->seq == b->seq && a->fence == b->fence && a->attempt == b->attempt);
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->ack_id, b->ack_id);
    assert_string_equal(a->job_id, b->job_id);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->mode, b->mode);
    assert_string_equal(a->prompt, b->prompt);
    assert_string_equal(a->system_prompt, b->system_prompt);
    assert_string_equal(a->payload, b->payload);
    assert_true(a->received_ms == b->received_ms && a->updated_ms == b->updated_ms);
    assert_int_equal(a->reply_kind, b->reply_kind);
    assert_string_equal(a->reply, b->reply);
    assert_int_equal(a->shortened, b->shortened);
    assert_int_equal(a->cancelled, b->cancelled);
    assert_int_equal(a->anew, b->anew);
    assert_true(a->unsurveyed == b->unsurveyed && a->unsent == b->unsent);
    assert_true(str_eq(a->attachment_ids, b->attachment_ids));
    assert_true(str_eq(a->unsent_note, b->unsent_note));
    assert_int_equal(a->has_usage, b->has_usage);
    assert_true(a->usage.input_tokens == b->usage.input_tokens &&
                a->usage.output_tokens == b->usage.output_tokens &&
                a->usage.cache_read_tokens == b->usage.cache_read_tokens &&
                a->usage.cache_write_tokens == b->usage.cache_write_tokens &&
                a->usage.cost_nano_usd == b->usage.cost_nano_usd);
    assert_string_equal(a->usage.model, b->usage.model);
}

static const struct usage some_usage = { .input_tokens = 1,
                                         .output_tokens = UINT64_MAX,
                                         .cache_read_tokens = 3,
                                         .cache_write_tokens = 4,
                                         .cost_nano_usd = 1ULL << 63,
                                         .model = "a model" };

/* The number that sql gives on the journal, which must be closed. */
static long long count(const struct fixture *f, const char *sql)
{
    AUTO_FREE char *path = mem_printf("%s/journal.db", f->dir);
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    long long n;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt); /* the step went well */
    (void)sqlite3_close(db);
    return n;
}

static void a_message_comes_back_with_every_field(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *t = journalprobe_task(7);

    t->kind = TASK_KIND_USER;
    t->mode = TASK_MODE_ASK;
    t->system_prompt = mem_strdup("be brief, \xc3\xa4h\n'\"; DROP TABLE messages; --");
    t->fence = UINT64_MAX - 3;
    t->attempt = UINT32_MAX;
    t->reply_kind = TASK_REPLY_ERROR;
    t->reply = mem_strdup("");
    t->shortened = true;
    t->cancelled = true;
    t->anew = true;
    t->unsurveyed = 2;
    t->has_usage = true;
    t->usage = some_usage;
    assert_int_equal(task_step(t, TASK_EV_FINISH), 0);
    journalprobe_begin(&f->p, f->dir);
    store_batch_insert(b, t);
    commit(f, b);
    reopen(f);
    assert_int_equal(f->p.row_count, 1);
    assert_same_task(f->p.rows[0], t);
    task_free(t);
}

static void absent_texts_come_back_absent_and_not_empty(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    insert(b, 1);
    commit(f, b);
    reopen(f);
    assert_null(f->p.rows[0]->system_prompt);
    assert_null(f->p.rows[0]->reply);
    assert_string_equal(f->p.rows[0]->prompt, "do the 1th thing");
}

static void rows_are_loaded_in_the_order_of_seq(void **state)
{
    static const uint64_t seqs[] = { 30, 4, 17, 1, 1000000 };
    static const uint64_t sorted[] = { 1, 4, 17, 30, 1000000 };
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    for (size_t i = 0; i < ARRAY_SIZE(seqs); i++)
        insert(b, seqs[i]);
    commit(f, b);
    reopen(f);
    assert_int_equal(f->p.row_count, ARRAY_SIZE(sorted));
    for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
        assert_true(f->p.rows[i]->seq == sorted[i]);
}

static void an_update_changes_what_may_change_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *t = journalprobe_task(1);

    journalprobe_begin(&f->p, f->dir);
    t->system_prompt = mem_strdup("kept");
    store_batch_insert(b, t);
    commit(f, b);
    assert_int_equal(task_step(t, TASK_EV_START), 0);
    t->attempt = 2;
    t->fence = 9;
    t->updated_ms = 5555;
    t->cancelled = true;
    t->anew = true;
    t->unsurveyed = 2;
    t->unsent = 3;
    t->attachment_ids = mem_strdup("att_1 att_2");
    t->unsent_note = mem_strdup("\n- why");
    t->has_usage = true;
    t->usage = some_usage;
    t->reply_kind = TASK_REPLY_ASSISTANT;
    t->reply = mem_strdup("done");
    t->shortened = true;
    b = store_batch_new();
    store_batch_update(b, t);
    commit(f, b);
    reopen(f);
    assert_int_equal(f->p.row_count, 1);
    assert_same_task(f->p.rows[0], t);
    task_free(t);
}

static void an_acked_message_keeps_only_its_tombstone(void **state)
{
    struct fixture *f = *state;
    static const enum task_event way[] = { TASK_EV_FINISH, TASK_EV_DELIVER, TASK_EV_ACK };
    struct store_batch *b = store_batch_new();
    struct task *t = journalprobe_task(3);

    journalprobe_begin(&f->p, f->dir);
    insert(b, 2);
    store_batch_insert(b, t);
    commit(f, b);
    t->reply_kind = TASK_REPLY_ASSISTANT;
    t->reply = mem_strdup("a reply");
    for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
        assert_int_equal(task_step(t, way[i]), 0);
        b = store_batch_new();
        store_batch_update(b, t);
        commit(f, b);
    }
    task_free(t);
    reopen(f);
    assert_int_equal(f->p.row_count, 1);
    assert_string_equal(f->p.rows[0]->id, "msg_2");
    assert_int_equal(f->p.tombstone_count, 1);
    assert_string_equal(f->p.tombstones[0], "msg_3");
    /* the texts are gone from the row and not only hidden by its state */
    journalprobe_end(&f->p);
    assert_int_equal(count(f,
                           "SELECT count(*) FROM messages WHERE id = 'msg_3' AND coalesce(prompt,"
                           " system_prompt, payload, reply) IS NULL"),
                     1);
}

static void a_refused_reply_is_kept_when_it_is_acked(void **state)
{
    struct fixture *f = *state;
    static const enum task_event way[] = { TASK_EV_FINISH, TASK_EV_REFUSE, TASK_EV_ACK };
    struct store_batch *b = store_batch_new();
    struct task *t = journalprobe_task(1);

    journalprobe_begin(&f->p, f->dir);
    store_batch_insert(b, t);
    t->reply_kind = TASK_REPLY_ASSISTANT;
    t->reply = mem_strdup("unwanted");
    for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
        assert_int_equal(task_step(t, way[i]), 0);
        store_batch_update(b, t);
    }
    commit(f, b);
    task_free(t);
    journalprobe_end(&f->p);
    assert_int_equal(count(f, "SELECT count(*) FROM messages WHERE state = 'acked' AND"
                              " reply = 'unwanted' AND coalesce(prompt, payload) IS NULL"),
                     1);
}

/* The core bounds what it remembers, and a server may list what it has forgotten. */
static void a_message_may_come_again_over_its_tombstone(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *t = journalprobe_task(1);

    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(task_restore(t, "acked"), 0);
    store_batch_insert(b, t);
    commit(f, b);
    t->seq = 2;
    assert_int_equal(task_restore(t, "received"), 0);
    b = store_batch_new();
    store_batch_insert(b, t);
    commit(f, b);
    task_free(t);
    reopen(f);
    assert_int_equal(f->p.row_count, 1);
    assert_int_equal(f->p.rows[0]->seq, 2);
    assert_int_equal(f->p.tombstone_count, 0);
}

static void a_deleted_message_is_gone_and_deleting_twice_is_harmless(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    insert(b, 1);
    insert(b, 2);
    commit(f, b);
    for (int i = 0; i < 2; i++) {
        b = store_batch_new();
        store_batch_delete(b, "msg_1");
        commit(f, b);
    }
    reopen(f);
    assert_int_equal(f->p.row_count, 1);
    assert_string_equal(f->p.rows[0]->id, "msg_2");
}

static void a_purge_takes_old_tombstones_and_only_those(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        struct task *t = journalprobe_task(seq);

        t->updated_ms = (int64_t)seq * 100;
        if (seq != 1) /* 1 is the oldest of all, and open */
            assert_int_equal(task_restore(t, "acked"), 0);
        store_batch_insert(b, t);
        task_free(t);
    }
    commit(f, b);
    b = store_batch_new();
    store_batch_purge(b, 300);
    commit(f, b);
    reopen(f);
    assert_int_equal(f->p.row_count, 1);
    assert_string_equal(f->p.rows[0]->id, "msg_1");
    assert_int_equal(f->p.tombstone_count, 2);
    assert_string_equal(f->p.tombstones[0], "msg_3");
    assert_true(f->p.acked_ms[0] == 300);
    assert_string_equal(f->p.tombstones[1], "msg_4");
    assert_true(f->p.acked_ms[1] == 400);
}

static void the_highest_seq_outlives_its_row(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    assert_true(store_max_seq(f->p.store) == 0);
    insert(b, 41);
    insert(b, 12);
    store_batch_delete(b, "msg_41");
    commit(f, b);
    assert_true(store_max_seq(f->p.store) == 41);
    reopen(f);
    assert_int_equal(f->p.row_count, 1);
    assert_true(store_max_seq(f->p.store) == 41);
}

static void a_state_of_another_machine_gets_an_id_of_its_own(void **state)
{
    struct fixture *f = *state;
    char first[64], id[64];
    bool moved = true;

    journalprobe_begin(&f->p, f->dir); /* of an earlier version: bound to none */
    journalprobe_end(&f->p);
    assert_int_equal(journalprobe_open(&f->p, f->dir, NULL), 0);
    (void)snprintf(first, sizeof first, "%s", store_instance_id(f->p.store));
    assert_int_equal(store_bind(f->p.store, "machine one", &moved, NULL), 0);
    assert_false(moved);
    assert_string_equal(store_instance_id(f->p.store), first);
    journalprobe_end(&f->p);
    assert_int_equal(journalprobe_open(&f->p, f->dir, NULL), 0);
    assert_int_equal(store_bind(f->p.store, "machine two", &moved, NULL), 0);
    assert_true(moved);
    (void)snprintf(id, sizeof id, "%s", store_instance_id(f->p.store));
    assert_true(ulid_has_prefix(id, "ccaid"));
    assert_string_not_equal(id, first);
    journalprobe_end(&f->p);
    assert_int_equal(journalprobe_open(&f->p, f->dir, NULL), 0);
    assert_int_equal(store_bind(f->p.store, "machine two", &moved, NULL), 0);
    assert_false(moved);
    assert_string_equal(store_instance_id(f->p.store), id);
}

static void the_instance_id_persists(void **state)
{
    struct fixture *f = *state;
    char id[ULID_ID_MAX];

    journalprobe_begin(&f->p, f->dir);
    assert_true(ulid_has_prefix(store_instance_id(f->p.store), "ccaid"));
    (void)snprintf(id, sizeof id, "%s", store_instance_id(f->p.store));
    reopen(f);
    assert_string_equal(store_instance_id(f->p.store), id);
}

static void a_batch_with_one_bad_command_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *missing = journalprobe_task(99);

    journalprobe_begin(&f->p, f->dir);
    insert(b, 1);
    commit(f, b);
    b = store_batch_new();
    insert(b, 2);
    store_batch_update(b, missing);
    assert_int_equal(journalprobe_commit(&f->p, b), -EPROTO);
    assert_non_null(strstr(f->p.err.text, "msg_99"));
    task_free(missing);
    reopen(f);
    assert_int_equal(f->p.row_count, 1);
}

static void the_same_message_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *twin = journalprobe_task(2);

    free(twin->id);
    twin->id = mem_strdup("msg_1");
    journalprobe_begin(&f->p, f->dir);
    insert(b, 1);
    store_batch_insert(b, twin);
    task_free(twin);
    assert_int_equal(journalprobe_commit(&f->p, b), -EPROTO);
}

static void after_a_failure_every_later_batch_fails_with_its_reason(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *missing = journalprobe_task(99);
    char first[ERR_TEXT_MAX];

    journalprobe_begin(&f->p, f->dir);
    store_batch_update(b, missing);
    task_free(missing);
    assert_int_equal(journalprobe_commit(&f->p, b), -EPROTO);
    memcpy(first, f->p.err.text, sizeof first);
    b = store_batch_new();
    insert(b, 1);
    assert_int_equal(journalprobe_commit(&f->p, b), -EPROTO);
    assert_string_equal(f->p.err.text, first);
    reopen(f);
    assert_int_equal(f->p.row_count, 0);
}

static void many_batches_given_at_once_commit_in_their_order(void **state)
{
    enum { BATCHES = 500 };
    struct fixture *f = *state;

    journalprobe_begin(&f->p, f->dir);
    for (uint64_t i = 1; i <= BATCHES; i++) {
        struct store_batch *b = store_batch_new();
        struct task *t = journalprobe_task(i);

        store_batch_insert(b, t);
        if (i > 1) { /* builds on the batch before */
            AUTO_FREE char *before = mem_printf("msg_%d", (int)i - 1);

            free(t->id);
            t->id = mem_strdup(before);
            assert_int_equal(task_step(t, TASK_EV_START), 0);
            store_batch_update(b, t);
        }
        task_free(t);
        store_submit(f->p.store, b, i);
    }
    journalprobe_wait(&f->p, BATCHES);
    assert_int_equal(f->p.done_count, BATCHES);
    assert_int_equal(f->p.result, 0);
    reopen(f);
    assert_int_equal(f->p.row_count, BATCHES);
    for (size_t i = 0; i < BATCHES; i++)
        assert_int_equal(f->p.rows[i]->state, i + 1 < BATCHES ? TASK_RUNNING : TASK_RECEIVED);
}

static void freeing_the_store_waits_for_what_was_submitted(void **state)
{
    struct fixture *f = *state;

    journalprobe_begin(&f->p, f->dir);
    for (uint64_t i = 1; i <= 50; i++) {
        struct store_batch *b = store_batch_new();

        insert(b, i);
        store_submit(f->p.store, b, i);
    }
    store_free(TAKE_PTR(f->p.store));
    assert_int_equal(f->p.done_count, 50);
    reopen(f);
    assert_int_equal(f->p.row_count, 50);
}

static void an_empty_batch_commits(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    assert_true(store_batch_is_empty(b));
    journalprobe_begin(&f->p, f->dir);
    commit(f, b);
    b = store_batch_new();
    store_batch_purge(b, 0);
    assert_false(store_batch_is_empty(b));
    commit(f, b);
}

static off_t size_of(const struct fixture *f, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->dir, name);
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void the_log_stays_bounded_however_much_is_written(void **state)
{
    enum { BATCHES = 1500, TEXT = 20000 };
    struct fixture *f = *state;
    struct task *t = journalprobe_task(1);
    struct store_batch *b = store_batch_new();
    off_t largest = 0;

    journalprobe_begin(&f->p, f->dir);
    store_batch_insert(b, t);
    commit(f, b);
    t->reply_kind = TASK_REPLY_ASSISTANT;
    t->reply = mem_alloc(TEXT + 1);
    memset(t->reply, 'x', TEXT);
    for (int i = 0; i < BATCHES; i++) {
        b = store_batch_new();
        t->updated_ms = i;
        store_batch_update(b, t);
        commit(f, b);
        if (size_of(f, "journal.db-wal") > largest)
            largest = size_of(f, "journal.db-wal");
    }
    task_free(t);
    /* 30 MB went through it */
    assert_true(largest > 1024 * 1024 && largest < 8 * 1024 * 1024);
    assert_true(size_of(f, "journal.db") < 1024 * 1024);
}

static void an_orderly_end_leaves_the_journal_as_one_file(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    insert(b, 1);
    commit(f, b);
    assert_true(size_of(f, "journal.db-wal") > 0);
    assert_int_equal(size_of(f, "journal.db-shm"), -1);
    journalprobe_end(&f->p);
    assert_int_equal(size_of(f, "journal.db-wal"), -1);
    assert_true(size_of(f, "journal.db") > 0);
    assert_int_equal(size_of(f, "reserve"), 1024 * 1024);
}

static void every_file_is_readable_by_the_owner_alone(void **state)
{
    static const char *const names[] = { "journal.db", "journal.db-wal", "nairid.lock", "reserve" };
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    mode_t old = umask(0);

    journalprobe_begin(&f->p, f->dir);
    insert(b, 1);
    commit(f, b);
    (void)umask(old);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", f->dir, names[i]);
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

static void a_journal_that_others_may_read_is_closed_to_them(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/journal.db", f->dir);
    struct stat st;

    journalprobe_begin(&f->p, f->dir);
    journalprobe_end(&f->p);
    assert_int_equal(chmod(path, 0644), 0);
    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void texts_of_a_megabyte_come_back_whole(void **state)
{
    enum { TEXT = 1 << 20 };
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *t = journalprobe_task(1);

    free(t->prompt);
    t->prompt = mem_alloc(TEXT + 1);
    for (int i = 0; i < TEXT; i++)
        t->prompt[i] = (char)('a' + i % 26);
    journalprobe_begin(&f->p, f->dir);
    store_batch_insert(b, t);
    commit(f, b);
    reopen(f);
    assert_string_equal(f->p.rows[0]->prompt, t->prompt);
    task_free(t);
}

/* ---- jobs ---- */

static void jobs_come_back_as_they_were_last_stored(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    store_batch_job(b, "job_B", 7, 200, false);
    store_batch_job(b, "job_A", UINT64_MAX, 300, false);
    store_batch_job(b, "job_C", 0, -100, true);
    store_batch_job(b, "job_B", 8, 250, true);
    store_batch_forget_job(b, "job_C");
    store_batch_forget_job(b, "job_C");
    commit(f, b);
    reopen(f);
    assert_int_equal(f->p.job_count, 2);
    assert_string_equal(f->p.jobs[0].job_id, "job_B");
    assert_true(f->p.jobs[0].fence == 8 && f->p.jobs[0].used_ms == 250 && f->p.jobs[0].leaving);
    assert_string_equal(f->p.jobs[1].job_id, "job_A");
    assert_true(f->p.jobs[1].fence == UINT64_MAX && !f->p.jobs[1].leaving);
}

/* ---- sessions ---- */

static void assert_session(const struct fixture *f, size_t i, const char *job_id,
                           const char *runner, const char *session, int64_t updated_ms)
{
    assert_true(i < f->p.session_count);
    assert_string_equal(f->p.sessions[i].job_id, job_id);
    assert_string_equal(f->p.sessions[i].runner, runner);
    assert_string_equal(f->p.sessions[i].session, session);
    assert_true(f->p.sessions[i].updated_ms == updated_ms);
}

static void sessions_come_back_the_oldest_first(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    assert_int_equal(f->p.session_count, 0);
    store_batch_session(b, "job_B", "claude", "s2", 200);
    store_batch_session(b, "job_A", "claude", "s3", 300);
    store_batch_session(b, "job_C", "codex", "s1", -100);
    assert_false(store_batch_is_empty(b));
    commit(f, b);
    reopen(f);
    assert_int_equal(f->p.session_count, 3);
    assert_session(f, 0, "job_C", "codex", "s1", -100);
    assert_session(f, 1, "job_B", "claude", "s2", 200);
    assert_session(f, 2, "job_A", "claude", "s3", 300);
}

static void a_job_has_one_session_the_last(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    store_batch_session(b, "job_A", "claude", "s1", 1);
    commit(f, b);
    b = store_batch_new();
    store_batch_session(b, "job_A", "codex", "s2", 2);
    commit(f, b);
    reopen(f);
    assert_int_equal(f->p.session_count, 1);
    assert_session(f, 0, "job_A", "codex", "s2", 2);
}

static void a_forgotten_session_is_gone_and_forgetting_twice_is_harmless(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();

    journalprobe_begin(&f->p, f->dir);
    store_batch_session(b, "job_A", "claude", "s1", 1);
    store_batch_session(b, "job_B", "claude", "s2", 2);
    store_batch_forget_session(b, "job_A");
    store_batch_forget_session(b, "job_A");
    store_batch_forget_session(b, "job_X");
    commit(f, b);
    reopen(f);
    assert_int_equal(f->p.session_count, 1);
    assert_session(f, 0, "job_B", "claude", "s2", 2);
}

static void a_session_and_its_message_commit_together_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new();
    struct task *t = journalprobe_task(1); /* nobody inserted it */

    journalprobe_begin(&f->p, f->dir);
    store_batch_session(b, "job_A", "claude", "s1", 1);
    store_batch_update(b, t);
    assert_true(journalprobe_commit(&f->p, b) < 0);
    reopen(f);
    assert_int_equal(f->p.session_count, 0);
    task_free(t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_message_comes_back_with_every_field),
        TEST(absent_texts_come_back_absent_and_not_empty),
        TEST(rows_are_loaded_in_the_order_of_seq),
        TEST(an_update_changes_what_may_change_and_nothing_else),
        TEST(an_acked_message_keeps_only_its_tombstone),
        TEST(a_refused_reply_is_kept_when_it_is_acked),
        TEST(a_message_may_come_again_over_its_tombstone),
        TEST(a_deleted_message_is_gone_and_deleting_twice_is_harmless),
        TEST(a_purge_takes_old_tombstones_and_only_those),
        TEST(the_highest_seq_outlives_its_row),
        TEST(the_instance_id_persists),
        TEST(a_state_of_another_machine_gets_an_id_of_its_own),
        TEST(a_batch_with_one_bad_command_leaves_nothing_behind),
        TEST(the_same_message_twice_is_refused),
        TEST(after_a_failure_every_later_batch_fails_with_its_reason),
        TEST(many_batches_given_at_once_commit_in_their_order),
        TEST(freeing_the_store_waits_for_what_was_submitted),
        TEST(an_empty_batch_commits),
        TEST(the_log_stays_bounded_however_much_is_written),
        TEST(an_orderly_end_leaves_the_journal_as_one_file),
        TEST(every_file_is_readable_by_the_owner_alone),
        TEST(a_journal_that_others_may_read_is_closed_to_them),
        TEST(jobs_come_back_as_they_were_last_stored),
        TEST(sessions_come_back_the_oldest_first),
        TEST(a_job_has_one_session_the_last),
        TEST(a_forgotten_session_is_gone_and_forgetting_twice_is_harmless),
        TEST(a_session_and_its_message_commit_together_or_not_at_all),
        TEST(texts_of_a_megabyte_come_back_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
