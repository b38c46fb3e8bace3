#include "runner/claude_stream.h"

#include <stdlib.h>
#include <string.h>

#include "runner/claude_report.h"
#include "runner/claude_words.h"
#include "runner/lines.h"
#include "runner/toolcalls.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum {
    NODES_MAX = 256 * 1024, /* values in one line: what a long diff has, many times over */
    SESSIONS_MAX = 8,       /* that one run may have; more is noise */
    JUNK_MAX = 2000,
    DENIED_MAX = 4 /* tools that a note names */
};

struct runner_parser {
    struct lines lines;
    struct toolcalls calls;
    size_t reply_limit;
    enum settings_permissions permissions;
    char session[RUNNER_SESSION_MAX + 1]; /* as last reported */
    unsigned sessions;
    struct buf said; /* what the model said last, to the user */
    struct buf junk; /* what wasn't JSON */
    char *code;      /* of the last failed call to the API */
    struct runner_result result;
};

/* A feed's line handler needs where to report to. */
struct feeding {
    struct runner_parser *parser;
    runner_event_fn fn;
    void *ctx;
};

struct runner_parser *claude_stream_new(const struct settings *settings, const char *session)
{
    struct runner_parser *p = mem_new(struct runner_parser);

    (void)session; /* it fails where that isn't there */
    p->reply_limit = settings->task_reply_limit_bytes;
    p->permissions = settings->runner_permissions;
    return p;
}

void claude_stream_free(struct runner_parser *p)
{
    if (!p)
        return;
    lines_done(&p->lines);
    toolcalls_done(&p->calls);
    buf_done(&p->said);
    buf_done(&p->junk);
    free(p->code);
    runner_result_done(&p->result);
    free(p);
}

/* ---- session ---- */

/* Not from a result that failed: that of a conversation that isn't there has the id that was asked
 * for, or one that was made up. */
static void note_session(const struct feeding *f, const struct json *line)
{
    struct runner_parser *p = f->parser;
    const char *id = json_get_str(line, "session_id");
    const struct runner_event ev = { .type = RUNNER_SESSION, .session = p->session };
    bool failed = false;

    if (json_get_bool(line, "is_error", &failed) == 0 && failed)
        return;
    if (!runner_is_session(id) || str_eq(id, p->session) || p->sessions == SESSIONS_MAX)
        return;
    memcpy(p->session, id, strlen(id) + 1);
    p->sessions++;
    f->fn(&ev, f->ctx);
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
        buf_clear(&p->said);
        utf8_clean(&p->said, text, utf8_cut(text, strlen(text), p->reply_limit));
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

/* In the answer, as the model may not know why. */
static void append_denials(const struct runner_parser *p, const struct json *line, struct buf *b)
{
    const struct json *denials = json_get(line, "permission_denials");
    const char *names[DENIED_MAX] = { 0 };
    size_t count = 0;

    for (const struct json *d = json_first(denials); d && count < DENIED_MAX; d = json_next(d)) {
        const char *name = json_get_str(d, "tool_name");
        bool known = !name;

        for (size_t i = 0; i < count; i++)
            known |= str_eq(names[i], name);
        if (!known)
            names[count++] = name;
    }
    if (count == 0)
        return;
    buf_append_str(b, "\n\n[Claude Code was not allowed to do all that it wanted (");
    for (size_t i = 0; i < count; i++) {
        buf_append_str(b, i > 0 ? ", " : "");
        utf8_clean(b, names[i], utf8_cut(names[i], strlen(names[i]), 40));
    }
    buf_printf(b, ")%s]", p->permissions == SETTINGS_EDITS ? "; runner.permissions is edits" : "");
}

/* The answer, cut at the reply's limit; where the result has none, what was said last. */
static void read_answer(const struct runner_parser *p, const struct json *line,
                        struct runner_result *result)
{
    const char *text = json_get_str(line, "result");
    struct buf b = { 0 };
    size_t len, keep;

    if (str_is_empty(text))
        text = buf_str(&p->said);
    len = strlen(text);
    keep = utf8_cut(text, len, p->reply_limit);
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
        utf8_clean(b, text, utf8_cut(text, strlen(text), JUNK_MAX));
    for (const struct json *e = json_first(errors); e && b->len < JUNK_MAX; e = json_next(e)) {
        const char *s = json_str(e);

        if (str_is_empty(s) || str_starts_with(s, "[ede_diagnostic]")) /* for its developers */
            continue;
        buf_append_str(b, b->len > 0 ? "; " : "");
        utf8_clean(b, s, utf8_cut(s, strlen(s), JUNK_MAX));
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
static void note_result(const struct feeding *f, const struct json *line)
{
    struct runner_parser *p = f->parser;
    const struct runner_event ev = { .type = RUNNER_FINAL };
    struct runner_result result = { .final = true };
    bool failed = true, first = !p->result.final;

    (void)json_get_bool(line, "is_error", &failed); /* who doesn't say that it worked, failed */
    result.ok = !failed && str_eq(json_get_str(line, "subtype"), "success");
    if (!result.ok && p->result.ok)
        return;
    result.has_usage = read_usage(line, &result.usage);
    if (result.ok)
        read_answer(p, line, &result);
    else
        read_failure(p, line, &result);
    runner_result_done(&p->result);
    p->result = result;
    if (first)
        f->fn(&ev, f->ctx);
}

/* ---- lines ---- */

static void on_line(const char *bytes, size_t len, void *ctx)
{
    const struct feeding *f = ctx;
    const struct claude_report report = { &f->parser->calls, f->fn, f->ctx };
    CLEANUP_PTR(json_free) struct json *line = NULL;
    const char *type;

    if (bytes[0] != '{' || json_parse_light(bytes, len, NODES_MAX, &line, NULL) < 0) {
        lines_keep(&f->parser->junk, bytes, len, JUNK_MAX);
        return;
    }
    note_session(f, line);
    type = json_get_str(line, "type");
    if (str_eq(type, "assistant")) {
        note_said(f->parser, line);
        claude_report_assistant(&report, line);
    } else if (str_eq(type, "user")) {
        claude_report_user(&report, line);
    } else if (str_eq(type, "tool_progress")) {
        claude_report_tool_progress(&report, line);
    } else if (str_eq(type, "system")) {
        claude_report_system(&report, line);
    } else if (str_eq(type, "result")) {
        note_result(f, line);
    }
}

void claude_stream_feed(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
                        void *ctx)
{
    struct feeding f = { .parser = p, .fn = fn, .ctx = ctx };

    lines_feed(&p->lines, bytes, len, on_line, &f);
}

static void ignore(const struct runner_event *ev, void *ctx)
{
    (void)ev;
    (void)ctx; /* it is over: nobody is told of progress any more */
}

void claude_stream_finish(struct runner_parser *p, const struct runner_exit *end,
                          struct runner_result *ret_result)
{
    struct feeding f = { .parser = p, .fn = ignore };
    struct runner_result *result = &p->result;

    lines_end(&p->lines, on_line, &f); /* a line may lack its newline */
    if (!result->final) {
        /* what was said so far is no answer: it is shown as last words, if nothing better is there
         */
        result->text = buf_steal(p->junk.len > 0 ? &p->junk : &p->said);
        result->error = claude_words_stderr(end->stderr_tail, &result->session_gone);
    }
    *ret_result = *result;
    *result = (struct runner_result){ 0 };
}
