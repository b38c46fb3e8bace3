#include "store/record.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

enum column {
    COLUMN_SEQ,
    COLUMN_ID,
    COLUMN_ACK_ID,
    COLUMN_JOB_ID,
    COLUMN_KIND,
    COLUMN_MODE,
    COLUMN_STATE,
    COLUMN_PROMPT,
    COLUMN_SYSTEM_PROMPT,
    COLUMN_PAYLOAD,
    COLUMN_FENCE,
    COLUMN_ATTEMPT,
    COLUMN_RECEIVED_MS,
    COLUMN_UPDATED_MS,
    COLUMN_REPLY_KIND,
    COLUMN_REPLY,
    COLUMN_SHORTENED,
    COLUMN_CANCELLED,
    COLUMN_ANEW,
    COLUMN_INPUT_TOKENS,
    COLUMN_OUTPUT_TOKENS,
    COLUMN_CACHE_READ_TOKENS,
    COLUMN_CACHE_WRITE_TOKENS,
    COLUMN_COST_NANO_USD,
    COLUMN_MODEL,
    COLUMN_UNSURVEYED,
    COLUMN_UNSENT,
    COLUMN_ATTACHMENT_IDS,
    COLUMN_UNSENT_NOTE
};

/* clang-format off */
static const char *const kind_names[] = {
    [TASK_KIND_START] = "start",
    [TASK_KIND_USER]  = "user",
};
static const char *const mode_names[] = {
    [TASK_MODE_EXECUTE] = "execute",
    [TASK_MODE_ASK]     = "ask",
};
static const char *const reply_kind_names[] = {
    [TASK_REPLY_NONE]      = "none",
    [TASK_REPLY_ASSISTANT] = "assistant",
    [TASK_REPLY_ERROR]     = "error",
};
/* clang-format on */
static_assert(ARRAY_SIZE(kind_names) == TASK_KIND_USER + 1, "every kind has a name");
static_assert(ARRAY_SIZE(mode_names) == TASK_MODE_ASK + 1, "every mode has a name");
static_assert(ARRAY_SIZE(reply_kind_names) == TASK_REPLY_ERROR + 1, "every reply kind has a name");

/* ---- writing ---- */

/* Binding fails only on misuse, exhaustion or size; the first failure is kept. */
static void bind_text(sqlite3_stmt *stmt, const char *name, const char *text, int *rc)
{
    int i = sqlite3_bind_parameter_index(stmt, name);

    if (i > 0 && *rc == SQLITE_OK)
        *rc = text ? sqlite3_bind_text64(stmt, i, text, strlen(text), SQLITE_STATIC, SQLITE_UTF8)
                   : sqlite3_bind_null(stmt, i);
}

static void bind_i64(sqlite3_stmt *stmt, const char *name, int64_t n, int *rc)
{
    int i = sqlite3_bind_parameter_index(stmt, name);

    if (i > 0 && *rc == SQLITE_OK)
        *rc = sqlite3_bind_int64(stmt, i, n);
}

/* Where nothing is known, nothing is bound: a parameter is NULL then. */
static void bind_usage(sqlite3_stmt *stmt, const struct task *t, int *rc)
{
    const struct usage *u = &t->usage;

    if (!t->has_usage)
        return;
    bind_i64(stmt, ":input_tokens", (int64_t)u->input_tokens, rc); /* all 64 bits, too */
    bind_i64(stmt, ":output_tokens", (int64_t)u->output_tokens, rc);
    bind_i64(stmt, ":cache_read_tokens", (int64_t)u->cache_read_tokens, rc);
    bind_i64(stmt, ":cache_write_tokens", (int64_t)u->cache_write_tokens, rc);
    bind_i64(stmt, ":cost_nano_usd", (int64_t)u->cost_nano_usd, rc);
    bind_text(stmt, ":model", u->model, rc);
}

int record_bind(sqlite3_stmt *stmt, const struct task *t)
{
    int rc = SQLITE_OK;

    bind_i64(stmt, ":seq", (int64_t)t->seq, &rc);
    bind_text(stmt, ":id", t->id, &rc);
    bind_text(stmt, ":ack_id", t->ack_id, &rc);
    bind_text(stmt, ":job_id", t->job_id, &rc);
    bind_text(stmt, ":kind", kind_names[t->kind], &rc);
    bind_text(stmt, ":mode", mode_names[t->mode], &rc);
    bind_text(stmt, ":state", task_state_name(t->state), &rc);
    bind_text(stmt, ":prompt", t->prompt, &rc);
    bind_text(stmt, ":system_prompt", t->system_prompt, &rc);
    bind_text(stmt, ":payload", t->payload, &rc);
    bind_i64(stmt, ":fence", (int64_t)t->fence, &rc); /* all 64 bits, there and back */
    bind_i64(stmt, ":attempt", t->attempt, &rc);
    bind_i64(stmt, ":received_ms", t->received_ms, &rc);
    bind_i64(stmt, ":updated_ms", t->updated_ms, &rc);
    bind_text(stmt, ":reply_kind", reply_kind_names[t->reply_kind], &rc);
    bind_text(stmt, ":reply", t->reply, &rc);
    bind_i64(stmt, ":shortened", t->shortened, &rc);
    bind_i64(stmt, ":cancelled", t->cancelled, &rc);
    bind_i64(stmt, ":anew", t->anew, &rc);
    bind_i64(stmt, ":unsurveyed", t->unsurveyed, &rc);
    bind_i64(stmt, ":unsent", t->unsent, &rc);
    bind_text(stmt, ":attachment_ids", t->attachment_ids, &rc);
    bind_text(stmt, ":unsent_note", t->unsent_note, &rc);
    bind_usage(stmt, t, &rc);
    return rc;
}

/* ---- reading ---- */

/* -EBADMSG if what is stored isn't a C string. */
static int text_at(sqlite3_stmt *stmt, enum column column, char **ret_text)
{
    const char *text = (const char *)sqlite3_column_text(stmt, (int)column);

    if (!text) /* NULL, and nothing else: exhaustion is caught by the next step */
        return 0;
    if (strlen(text) != (size_t)sqlite3_column_bytes(stmt, (int)column))
        return -EBADMSG;
    *ret_text = mem_strdup(text);
    return 0;
}

static int name_at(sqlite3_stmt *stmt, enum column column, const char *const *names, size_t count)
{
    const char *text = (const char *)sqlite3_column_text(stmt, (int)column);

    for (size_t i = 0; i < count; i++)
        if (str_eq(names[i], text))
            return (int)i;
    return -EBADMSG;
}

static int read_texts(sqlite3_stmt *stmt, struct task *t)
{
    if (text_at(stmt, COLUMN_ID, &t->id) < 0 || text_at(stmt, COLUMN_ACK_ID, &t->ack_id) < 0 ||
        text_at(stmt, COLUMN_JOB_ID, &t->job_id) < 0 ||
        text_at(stmt, COLUMN_PROMPT, &t->prompt) < 0 ||
        text_at(stmt, COLUMN_SYSTEM_PROMPT, &t->system_prompt) < 0 ||
        text_at(stmt, COLUMN_PAYLOAD, &t->payload) < 0 ||
        text_at(stmt, COLUMN_REPLY, &t->reply) < 0 ||
        text_at(stmt, COLUMN_ATTACHMENT_IDS, &t->attachment_ids) < 0 ||
        text_at(stmt, COLUMN_UNSENT_NOTE, &t->unsent_note) < 0)
        return -EBADMSG;
    return 0;
}

static int read_names(sqlite3_stmt *stmt, struct task *t)
{
    int kind = name_at(stmt, COLUMN_KIND, kind_names, ARRAY_SIZE(kind_names));
    int mode = name_at(stmt, COLUMN_MODE, mode_names, ARRAY_SIZE(mode_names));
    int reply = name_at(stmt, COLUMN_REPLY_KIND, reply_kind_names, ARRAY_SIZE(reply_kind_names));

    if (kind < 0 || mode < 0 || reply < 0)
        return -EBADMSG;
    t->kind = (enum task_kind)kind;
    t->mode = (enum task_mode)mode;
    t->reply_kind = (enum task_reply_kind)reply;
    return 0;
}

static int read_numbers(sqlite3_stmt *stmt, struct task *t)
{
    int64_t seq = sqlite3_column_int64(stmt, COLUMN_SEQ);
    int64_t attempt = sqlite3_column_int64(stmt, COLUMN_ATTEMPT);
    int64_t unsurveyed = sqlite3_column_int64(stmt, COLUMN_UNSURVEYED);
    int64_t unsent = sqlite3_column_int64(stmt, COLUMN_UNSENT);

    if (seq <= 0 || attempt < 0 || attempt > UINT32_MAX || unsurveyed < 0 ||
        unsurveyed > UINT32_MAX || unsent < 0 || unsent > UINT32_MAX)
        return -EBADMSG;
    t->seq = (uint64_t)seq;
    t->fence = (uint64_t)sqlite3_column_int64(stmt, COLUMN_FENCE);
    t->attempt = (uint32_t)attempt;
    t->received_ms = sqlite3_column_int64(stmt, COLUMN_RECEIVED_MS);
    t->updated_ms = sqlite3_column_int64(stmt, COLUMN_UPDATED_MS);
    t->shortened = sqlite3_column_int64(stmt, COLUMN_SHORTENED) != 0;
    t->cancelled = sqlite3_column_int64(stmt, COLUMN_CANCELLED) != 0;
    t->anew = sqlite3_column_int64(stmt, COLUMN_ANEW) != 0;
    t->unsurveyed = (uint32_t)unsurveyed;
    t->unsent = (uint32_t)unsent;
    return 0;
}

static int model_at(sqlite3_stmt *stmt, enum column column, char model[USAGE_MODEL_MAX])
{
    const char *text = (const char *)sqlite3_column_text(stmt, (int)column);
    size_t len = text ? strlen(text) : 0;

    if (len >= USAGE_MODEL_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return -EBADMSG;
    (void)snprintf(model, USAGE_MODEL_MAX, "%s", text ? text : ""); /* fits */
    return 0;
}

static int read_usage(sqlite3_stmt *stmt, struct task *t)
{
    struct usage *u = &t->usage;

    t->has_usage = sqlite3_column_type(stmt, COLUMN_INPUT_TOKENS) != SQLITE_NULL;
    if (!t->has_usage)
        return 0;
    u->input_tokens = (uint64_t)sqlite3_column_int64(stmt, COLUMN_INPUT_TOKENS);
    u->output_tokens = (uint64_t)sqlite3_column_int64(stmt, COLUMN_OUTPUT_TOKENS);
    u->cache_read_tokens = (uint64_t)sqlite3_column_int64(stmt, COLUMN_CACHE_READ_TOKENS);
    u->cache_write_tokens = (uint64_t)sqlite3_column_int64(stmt, COLUMN_CACHE_WRITE_TOKENS);
    u->cost_nano_usd = (uint64_t)sqlite3_column_int64(stmt, COLUMN_COST_NANO_USD);
    return model_at(stmt, COLUMN_MODEL, u->model);
}

static const char *read_all(sqlite3_stmt *stmt, struct task *t)
{
    const char *state = (const char *)sqlite3_column_text(stmt, COLUMN_STATE);

    if (!state || task_restore(t, state) < 0)
        return "a state that this nairid doesn't know";
    if (read_texts(stmt, t) < 0)
        return "a text with a NUL byte";
    if (str_is_empty(t->id))
        return "no id";
    if (str_is_empty(t->job_id))
        return "no job";
    if (str_is_empty(t->ack_id) && t->state != TASK_ACKED)
        return "no id to acknowledge it by";
    if (read_names(stmt, t) < 0)
        return "a kind, mode or kind of reply that this nairid doesn't know";
    if (read_numbers(stmt, t) < 0)
        return "a number out of range";
    if (read_usage(stmt, t) < 0)
        return "a model whose name no program has";
    if (t->state == TASK_FINISHED && (t->reply_kind == TASK_REPLY_NONE || !t->reply))
        return "no reply, though it is finished";
    return NULL;
}

int record_read(sqlite3_stmt *stmt, struct task **ret_task, char why[RECORD_WHY_MAX])
{
    struct task *t = task_new();
    const char *fault = read_all(stmt, t);

    if (fault) {
        (void)snprintf(why, RECORD_WHY_MAX, "message %lld in it has %s",
                       (long long)sqlite3_column_int64(stmt, COLUMN_SEQ), fault);
        task_free(t);
        return -EBADMSG;
    }
    *ret_task = t;
    return 0;
}
