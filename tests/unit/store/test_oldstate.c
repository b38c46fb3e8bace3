#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "store/oldstate.h"
#include "store/store.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

#define INSTANCE "ccaid_01JQ8ZK5T8R0B7T5N3X9W2V4M6"
#define NOW      "2026-05-01T12:00:00Z"

/* What is in a journal that took the state over. */
struct seen {
    char *dir;
    struct store *store;
    struct oldstate old;
    struct task *tasks[16];
    size_t task_count;
    struct strv stones, sessions;
};

static int set_up(void **state)
{
    struct seen *f = mem_new(struct seen);

    f->dir = tempdir_new();
    assert_int_equal(store_open(f->dir, &f->store, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct seen *f = *state;

    for (size_t i = 0; i < f->task_count; i++)
        task_free(f->tasks[i]);
    strv_done(&f->stones);
    strv_done(&f->sessions);
    oldstate_done(&f->old);
    store_free(f->store);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static void on_row(struct task *t, void *ctx)
{
    struct seen *f = ctx;

    assert_true(f->task_count < ARRAY_SIZE(f->tasks));
    f->tasks[f->task_count++] = t;
}

static void on_stone(const char *id, int64_t acked_ms, void *ctx)
{
    struct seen *f = ctx;

    assert_true(acked_ms > 0);
    strv_add(&f->stones, id);
}

static void on_session(const char *job_id, const char *runner, const char *session,
                       int64_t updated_ms, void *ctx)
{
    struct seen *f = ctx;
    AUTO_FREE char *line = mem_printf("%s %s %s", job_id, runner, session);

    assert_true(updated_ms > 0);
    strv_add(&f->sessions, line);
}

static void load(struct seen *f)
{
    assert_int_equal(store_load(f->store, on_row, on_stone, f, NULL), 0);
    assert_int_equal(store_load_sessions(f->store, on_session, f, NULL), 0);
}

static void take(struct seen *f, const char *text)
{
    int64_t now_ms;
    struct err err = { 0 };

    assert_int_equal(clock_parse_rfc3339(NOW, &now_ms), 0);
    assert_int_equal(oldstate_read(text, strlen(text), "claude", now_ms, &f->old, &err), 0);
    assert_int_equal(store_inherit(f->store, f->old.batch,
                                   f->old.instance_id[0] ? f->old.instance_id : NULL, "/old", &err),
                     0);
    load(f);
}

static bool has_stone(const struct seen *f, const char *id)
{
    for (size_t i = 0; i < f->stones.len; i++)
        if (str_eq(f->stones.items[i], id))
            return true;
    return false;
}

static void all_that_counts_is_taken_over(void **state)
{
    struct seen *f = *state;
    bool may = false;

    assert_int_equal(store_may_inherit(f->store, &may, NULL), 0);
    assert_true(may);
    take(f,
         "{\"agent_id\":\"" INSTANCE "\",\"jobs\":{"
         "\"job_a\":{\"claude_session_id\":\"s-1\",\"status\":\"in_progress\",\"mode\":\"execute\","
         "\"processed_message_id\":\"m1\",\"last_message\":\"cut short\","
         "\"message_link\":\"https://chat\",\"updated_at\":\"2026-05-01T11:00:00.123456789Z\"},"
         "\"job_b\":{\"claude_session_id\":\"unknown\",\"status\":\"completed\",\"mode\":\"ask\","
         "\"processed_message_id\":\"m9\",\"updated_at\":\"2026-05-01T10:00:00Z\"}},"
         "\"queued_messages\":{"
         "\"m3\":{\"processed_message_id\":\"m3\",\"job_id\":\"job_b\",\"message\":\"later\","
         "\"message_type\":\"user_message_v1\",\"queued_at\":\"2026-05-01T09:00:01Z\"},"
         "\"m2\":{\"processed_message_id\":\"m2\",\"job_id\":\"job_b\",\"message\":\"first\","
         "\"message_type\":\"user_message_v1\",\"queued_at\":\"2026-05-01T09:00:00Z\"},"
         "\"m4\":{\"processed_message_id\":\"m4\",\"job_id\":\"job_new\",\"message\":\"start\","
         "\"message_type\":\"start_conversation_v1\",\"queued_at\":\"2026-05-01T09:30:00Z\"},"
         "\"m5\":{\"processed_message_id\":\"m5\",\"job_id\":\"job_a\",\"message\":\"old\","
         "\"message_type\":\"user_message_v1\",\"queued_at\":\"2026-04-01T09:30:00Z\"},"
         "\"m9\":{\"processed_message_id\":\"m9\",\"job_id\":\"job_b\",\"message\":\"done\","
         "\"message_type\":\"user_message_v1\",\"queued_at\":\"2026-05-01T08:00:00Z\"}},"
         "\"seen_messages\":{\"m0\":\"2026-05-01T11:30:00Z\",\"m1\":\"2026-05-01T11:30:00Z\","
         "\"m2\":\"2026-05-01T11:30:00Z\"}}");
    assert_string_equal(store_instance_id(f->store), INSTANCE);
    /* what was cut short first, then by age; a seen one that waits is no answered one */
    assert_int_equal(f->task_count, 5);
    assert_string_equal(f->tasks[0]->id, "m1");
    assert_int_equal(f->tasks[0]->kind, TASK_KIND_USER); /* it has a session */
    assert_int_equal(f->tasks[0]->mode, TASK_MODE_EXECUTE);
    assert_string_equal(f->tasks[0]->prompt, "cut short");
    assert_non_null(strstr(f->tasks[0]->payload, "https://chat"));
    assert_string_equal(f->tasks[1]->id, "m5");
    assert_int_equal(f->tasks[1]->state, TASK_FINISHED); /* too old to be run */
    assert_int_equal(f->tasks[1]->reply_kind, TASK_REPLY_ERROR);
    assert_string_equal(f->tasks[2]->id, "m2");
    assert_string_equal(f->tasks[3]->id, "m3");
    assert_int_equal(f->tasks[3]->mode, TASK_MODE_ASK); /* its job's */
    assert_string_equal(f->tasks[4]->id, "m4");
    assert_int_equal(f->tasks[4]->kind, TASK_KIND_START);
    assert_int_equal(f->tasks[4]->mode, TASK_MODE_ASK); /* nobody knows */
    assert_int_equal(f->tasks[4]->state, TASK_RECEIVED);
    assert_int_equal(f->stones.len, 2);
    assert_true(has_stone(f, "m0") && has_stone(f, "m9"));
    assert_int_equal(f->sessions.len, 1);
    assert_string_equal(f->sessions.items[0], "job_a claude s-1");
    assert_int_equal(store_max_seq(f->store), 7);
}

static void it_is_taken_over_once(void **state)
{
    struct seen *f = *state;
    bool may = true;

    take(f, "{}"); /* even if nothing was in it */
    assert_int_equal(store_may_inherit(f->store, &may, NULL), 0);
    assert_false(may);
    store_free(f->store);
    f->store = NULL;
    assert_int_equal(store_open(f->dir, &f->store, NULL), 0);
    assert_int_equal(store_may_inherit(f->store, &may, NULL), 0);
    assert_false(may);
}

static void what_cannot_be_used_is_left_out(void **state)
{
    struct seen *f = *state;
    char *own = mem_strdup(store_instance_id(f->store));

    take(f, "{\"agent_id\":\"ccaid_what\",\"jobs\":{"
            "\"../job\":{\"claude_session_id\":\"s\",\"status\":\"in_progress\","
            "\"processed_message_id\":\"m1\",\"last_message\":\"x\"},"
            "\"job_b\":[],\"job_c\":{\"claude_session_id\":\"a b\",\"status\":5,"
            "\"processed_message_id\":7}},"
            "\"queued_messages\":{\"a\":5,\"b\":{\"job_id\":\"j\"},"
            "\"c\":{\"processed_message_id\":\"c\",\"job_id\":\"j\",\"message\":\"\"},"
            "\"d\":{\"processed_message_id\":\"d\",\"job_id\":\"j/k\",\"message\":\"x\"}},"
            "\"seen_messages\":{\"\":\"x\",\"e f\":1,\"g\":[]}}");
    assert_string_equal(store_instance_id(f->store), own);
    assert_int_equal(f->task_count, 0);
    assert_int_equal(f->sessions.len, 0);
    assert_int_equal(f->stones.len, 1); /* g, whenever that was */
    assert_int_equal(f->old.skipped, 9);
    free(own);
}

static void what_waited_and_is_left_out_is_not_taken_for_answered(void **state)
{
    struct seen *f = *state;

    take(f, "{\"jobs\":{\"job_a\":{\"status\":\"in_progress\",\"processed_message_id\":\"m1\"}},"
            "\"queued_messages\":{\"m0\":{\"processed_message_id\":\"m0\",\"job_id\":\"j\"},"
            "\"m2\":{\"processed_message_id\":\"m2\",\"job_id\":\"j\",\"message\":\"x\"}},"
            "\"seen_messages\":{\"m0\":\"\",\"m1\":\"\",\"m2\":\"\",\"m3\":\"\"}}");
    assert_int_equal(f->old.skipped, 2);
    assert_int_equal(f->task_count, 1);
    assert_int_equal(f->stones.len, 1);
    assert_true(has_stone(f, "m3"));
}

static void too_many_are_left_out(void **state)
{
    struct seen *f = *state;
    CLEANUP(buf_done) struct buf text = { 0 };
    int64_t now_ms = clock_wall_ms();

    buf_append_str(&text, "{\"queued_messages\":{\"x\":0");
    for (int i = 0; i < OLDSTATE_MESSAGES_MAX + 5; i++)
        buf_printf(&text,
                   ",\"m%d\":{\"processed_message_id\":\"m%d\",\"job_id\":\"j\",\"message\":\"x\"}",
                   i, i);
    buf_append_str(&text, "}}");
    assert_int_equal(oldstate_read(text.data, text.len, "claude", now_ms, &f->old, NULL), 0);
    assert_int_equal(f->old.waiting, OLDSTATE_MESSAGES_MAX);
    assert_int_equal(f->old.skipped, 6);
}

static void what_is_no_state_is_refused(void **state)
{
    static const char *const texts[] = { "", "{", "[]", "null", "{\"a\":\"\xff\"}", "{} x" };
    struct seen *f = *state;
    struct err err;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        err = (struct err){ 0 };
        assert_int_equal(oldstate_read(texts[i], strlen(texts[i]), "claude", 1, &f->old, &err),
                         -EBADMSG);
        assert_true(err.text[0] != '\0');
        assert_null(f->old.batch);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_counts_is_taken_over),
        TEST(it_is_taken_over_once),
        TEST(what_cannot_be_used_is_left_out),
        TEST(what_waited_and_is_left_out_is_not_taken_for_answered),
        TEST(too_many_are_left_out),
        TEST(what_is_no_state_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
