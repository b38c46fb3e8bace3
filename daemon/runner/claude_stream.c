#include "runner/claude_stream.h"

#include <stdlib.h>
#include <string.h>

#include "runner/claude_report.h"
#include "runner/claude_words.h"
#include "runner/denied.h"
#include "runner/printout.h"
#include "runner/toolcalls.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

struct runner_parser {
    struct printout out;
    struct toolcalls calls;
    enum settings_permissions permissions;
    char *code; /* of the last failed call to the API */
};

static void on_line(const struct json *line, void *parser);

struct runner_parser *claude_stream_new(const struct settings *settings, const char *session)
{
    struct runner_parser *p = mem_new(struct runner_parser);

    (void)session; /* it fails where that isn't there */
    printout_init(&p->out, settings, on_line, p);
    p->permissions = settings->runner_permissions;
    return p;
}

void claude_stream_free(struct runner_parser *p)
{
    if (!p)
        return;
    printout_done(&p->out);
    toolcalls_done(&p->calls);
    free(p->code);
    free(p);
}

/* ---- session ---- */

/* Not from a result that failed: that of a conversation that isn't there has the id that was asked
 * for, or one that was made up. */
static void note_session(struct runner_parser *p, const struct json *line)
{
    bool failed = false;

    if (json_get_bool(line, "is_error", &failed) < 0 || !failed)
        printout_session(&p->out, json_get_str(line, "session_id"));
}

/* ---- what the model says ---- */

/* To the user, that is not within a subagent; a failure is the API's word, not the model's. */
static void note_said(struct runner_parser *p, const struct json *line)
{
    const struct json *content = json_get(json_get(line, "message"), "content");
    const char *code = json_get_str(line, "error");

    if (code) {
        free(p->code);
        p->code = mem_strdup(code);
        return;
    }
    if (json_get_str(line, "parent_tool_use_id"))
        return;
    for (const struct json *b = json_first(content); b; b = json_next(b)) {
        const char *text = json_get_str(b, "text");

        if (str_is_empty(text) || !str_eq(json_get_str(b, "type"), "text"))
            continue;
        (void)printout_say(&p->out, text); /* the answer is counted below */
    }
}

/* ---- the result ---- */

/* Of several models the one that cost most: the others did small work for it. */
static void read_model(const struct json *models, struct usage *usage)
{
    double most = -1;

    for (const struct json *m = json_first(models); m; m = json_next(m)) {
        double cost = 0;

        (void)json_get_double(m, "costUSD", &cost); /* absent: nothing known, the first one wins */
        if (cost > most) {
            most = cost;
            usage_set_model(usage, json_key(m));
        }
    }
}

static bool read_usage(const struct json *line, struct usage *usage)
{
    const struct json *tokens = json_get(line, "usage");
    double cost = 0;

    if (!json_is_object(tokens))
        return false;
    /* what is absent stays 0 */
    (void)json_get_u64(tokens, "input_tokens", &usage->input_tokens);
    (void)json_get_u64(tokens, "output_tokens", &usage->output_tokens);
    (void)json_get_u64(tokens, "cache_read_input_tokens", &usage->cache_read_tokens);
    (void)json_get_u64(tokens, "cache_creation_input_tokens", &usage->cache_write_tokens);
    (void)json_get_double(line, "total_cost_usd", &cost);
    usage->cost_nano_usd = usage_nano(cost);
    read_model(json_get(line, "modelUsage"), usage);
    return usage_is_something(usage); /* where nothing was asked there are zeros */
}

static void append_denials(const struct runner_parser *p, const struct json *line, struct buf *b)
{
    const struct json *denials = json_get(line, "permission_denials");
    struct denied denied = { 0 };

    for (const struct json *d = json_first(denials); d; d = json_next(d))
        denied_add(&denied, json_get_str(d, "tool_name"));
    denied_append(&denied, "Claude Code", p->permissions, b);
}

/* The answer, cut at the reply's limit; where the result has none, what was said last. */
static void read_answer(const struct runner_parser *p, const struct json *line,
                        struct runner_result *result)
{
    const char *text = json_get_str(line, "result");
    struct buf b = { 0 };
    size_t len, keep;

    if (str_is_empty(text))
        text = buf_str(&p->out.said);
    len = strlen(text);
    keep = utf8_cut(text, len, p->out.reply_limit);
    utf8_clean(&b, text, keep);
    result->dropped_bytes = len - keep;
    if (result->dropped_bytes == 0)
        append_denials(p, line, &b);
    result->text = buf_steal(&b);
}

/* All that is said about a failure: the answer's place, or a list of errors. */
static void read_words(const struct json *line, struct buf *b)
{
    const struct json *errors = json_get(line, "errors");
    const char *text = json_get_str(line, "result");

    if (!str_is_empty(text))
        utf8_clean(b, text, utf8_cut(text, strlen(text), PRINTOUT_JUNK_MAX));
    for (const struct json *e = json_first(errors); e && b->len < PRINTOUT_JUNK_MAX;
         e = json_next(e)) {
        const char *s = json_str(e);

        if (str_is_empty(s) || str_starts_with(s, "[ede_diagnostic]")) /* for its developers */
            continue;
        buf_append_str(b, b->len > 0 ? "; " : "");
        utf8_clean(b, s, utf8_cut(s, strlen(s), PRINTOUT_JUNK_MAX));
    }
}

static void read_failure(const struct runner_parser *p, const struct json *line,
                         struct runner_result *result)
{
    CLEANUP(buf_done) struct buf words = { 0 };
    struct words_failure failure = { .kind = json_get_str(line, "subtype"), .code = p->code };

    (void)json_get_i64(line, "api_error_status", &failure.status); /* absent: no answer in HTTP */
    read_words(line, &words);
    failure.words = buf_str(&words);
    result->error = claude_words(&failure, &result->session_gone);
}

/* A failure that comes after an answer is that of being ended: it changes nothing. */
static void note_result(struct runner_parser *p, const struct json *line)
{
    struct runner_result result = { 0 };
    bool failed = true;

    (void)json_get_bool(line, "is_error", &failed); /* who doesn't say that it worked, failed */
    result.ok = !failed && str_eq(json_get_str(line, "subtype"), "success");
    if (!result.ok && p->out.result.ok)
        return;
    result.has_usage = read_usage(line, &result.usage);
    if (result.ok)
        read_answer(p, line, &result);
    else
        read_failure(p, line, &result);
    printout_conclude(&p->out, &result);
}

/* ---- lines ---- */

static void on_line(const struct json *line, void *parser)
{
    struct runner_parser *p = parser;
    const struct claude_report report = { &p->calls, p->out.fn, p->out.ctx };
    const char *type = json_get_str(line, "type");

    note_session(p, line);
    if (str_eq(type, "assistant")) {
        note_said(p, line);
        claude_report_assistant(&report, line);
    } else if (str_eq(type, "user")) {
        claude_report_user(&report, line);
    } else if (str_eq(type, "tool_progress")) {
        claude_report_tool_progress(&report, line);
    } else if (str_eq(type, "system")) {
        claude_report_system(&report, line);
    } else if (str_eq(type, "result")) {
        note_result(p, line);
    }
}

void claude_stream_feed(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
                        void *ctx)
{
    printout_feed(&p->out, bytes, len, fn, ctx);
}

void claude_stream_finish(struct runner_parser *p, const struct runner_exit *end,
                          struct runner_result *ret_result)
{
    struct runner_result *result = &p->out.result;

    if (!printout_end(&p->out))
        result->error = claude_words_stderr(end->stderr_tail, &result->session_gone);
    printout_take(&p->out, ret_result);
}
