/* A row of the journal that a foreign hand wrote: a line for each column, which begins with its
 * type: n (null), i (whole number), r (real), t (text), b (bytes). Refused with a reason, or a
 * message that the daemon can go on with, and that is the same when stored and read again. */
#include "support/replay.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "store/record.h"
#include "support/input.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/utf8.h"

static sqlite3 *database(void)
{
    static sqlite3 *db;

    if (!db)
        FUZZ_CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
    return db;
}

/* A parameter for each column, by its name. */
static sqlite3_stmt *select_all(void)
{
    CLEANUP(buf_done) struct buf sql = { 0 };
    sqlite3_stmt *stmt = NULL;

    buf_append_str(&sql, "SELECT :");
    for (const char *c = RECORD_COLUMNS; *c; c++) {
        buf_append_char(&sql, *c);
        if (*c == ' ')
            buf_append_char(&sql, ':');
    }
    FUZZ_CHECK(sqlite3_prepare_v2(database(), sql.data, -1, &stmt, NULL) == SQLITE_OK);
    return stmt;
}

static void bind_line(sqlite3_stmt *stmt, int column, const uint8_t *line, size_t len)
{
    const char *text = (const char *)line + 1;
    int rest = (int)len - 1;

    switch (len > 0 ? line[0] : 'n') {
    case 'i': {
        AUTO_FREE char *digits = strndup(text, (size_t)rest);

        (void)sqlite3_bind_int64(stmt, column, strtoll(digits, NULL, 10));
        return;
    }
    case 'r':
        (void)sqlite3_bind_double(stmt, column, (double)rest / 3);
        return;
    case 't':
        (void)sqlite3_bind_text(stmt, column, text, rest, SQLITE_TRANSIENT);
        return;
    case 'b':
        (void)sqlite3_bind_blob(stmt, column, text, rest, SQLITE_TRANSIENT);
        return;
    default:
        (void)sqlite3_bind_null(stmt, column);
    }
}

/* What the core and the adapters rely on. */
static void check(const struct task *t)
{
    FUZZ_CHECK(!str_is_empty(t->id) && !str_is_empty(t->job_id) && t->seq > 0);
    FUZZ_CHECK(t->state < TASK_GONE && t->kind <= TASK_KIND_USER && t->mode <= TASK_MODE_ASK);
    if (t->state != TASK_ACKED)
        FUZZ_CHECK(!str_is_empty(t->ack_id));
    if (t->state == TASK_FINISHED)
        FUZZ_CHECK(t->reply_kind != TASK_REPLY_NONE && t->reply);
    for (const char *c = t->usage.model; *c; c++)
        FUZZ_CHECK(*c >= ' ' && *c <= '~');
}

static void check_same(const struct task *a, const struct task *b)
{
    FUZZ_CHECK(a->state == b->state && a->seq == b->seq && a->kind == b->kind);
    FUZZ_CHECK(a->mode == b->mode && a->fence == b->fence && a->attempt == b->attempt);
    FUZZ_CHECK(a->received_ms == b->received_ms && a->updated_ms == b->updated_ms);
    FUZZ_CHECK(a->reply_kind == b->reply_kind && a->shortened == b->shortened);
    FUZZ_CHECK(a->cancelled == b->cancelled && str_eq(a->id, b->id));
    FUZZ_CHECK(str_eq(a->ack_id, b->ack_id) && str_eq(a->job_id, b->job_id));
    FUZZ_CHECK(str_eq(a->prompt, b->prompt) && str_eq(a->system_prompt, b->system_prompt));
    FUZZ_CHECK(str_eq(a->payload, b->payload) && str_eq(a->reply, b->reply));
    FUZZ_CHECK(a->anew == b->anew && a->unsurveyed == b->unsurveyed);
    FUZZ_CHECK(a->unsent == b->unsent && str_eq(a->attachment_ids, b->attachment_ids));
    FUZZ_CHECK(str_eq(a->unsent_note, b->unsent_note));
    FUZZ_CHECK(a->has_usage == b->has_usage);
    FUZZ_CHECK(a->usage.input_tokens == b->usage.input_tokens);
    FUZZ_CHECK(a->usage.output_tokens == b->usage.output_tokens);
    FUZZ_CHECK(a->usage.cost_nano_usd == b->usage.cost_nano_usd);
    FUZZ_CHECK(str_eq(a->usage.model, b->usage.model));
}

static void check_again(const struct task *t)
{
    sqlite3_stmt *stmt = select_all();
    struct task *again = NULL;
    char why[RECORD_WHY_MAX];

    FUZZ_CHECK(record_bind(stmt, t) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW);
    FUZZ_CHECK(record_read(stmt, &again, why) == 0);
    check_same(t, again);
    task_free(again);
    (void)sqlite3_finalize(stmt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    sqlite3_stmt *stmt = select_all();
    struct task *t = NULL;
    char why[RECORD_WHY_MAX] = "";
    int r;

    for (int column = 1; column <= sqlite3_column_count(stmt); column++) {
        const uint8_t *line = in.at;

        free(input_until(&in, '\n'));
        bind_line(stmt, column, line, (size_t)(in.at - line) - (in.at > line && in.at[-1] == '\n'));
    }
    FUZZ_CHECK(sqlite3_step(stmt) == SQLITE_ROW);
    r = record_read(stmt, &t, why);
    (void)sqlite3_finalize(stmt);
    if (r < 0) {
        FUZZ_CHECK(r == -EBADMSG && !t && why[0] && strlen(why) < sizeof why);
        FUZZ_CHECK(utf8_is_valid(why, strlen(why)));
        return 0;
    }
    check(t);
    check_again(t);
    task_free(t);
    return 0;
}
