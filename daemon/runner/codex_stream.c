#include "runner/codex_stream.h"

#include <stdlib.h>
#include <string.h>

#include "runner/codex_report.h"
#include "runner/codex_thread.h"
#include "runner/codex_words.h"
#include "runner/lines.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum {
    NODES_MAX = 256 * 1024, /* values in one line: what a long diff has, many times over */
    JUNK_MAX = 2000,
};

#define RETRY "Reconnecting..."

static const char lost_note[] =
    "[the earlier conversation could not be found: the agent began anew and doesn't know what was "
    "said before]\n\n";

struct runner_parser {
    struct lines lines;
    size_t reply_limit;
    char model[USAGE_MODEL_MAX];
    struct codex_thread asked, thread; /* id "": none, not yet */
    unsigned waits;                    /* lines in a row that say that there is no network */
    struct buf said;                   /* what the model said last */
    size_t said_dropped;               /* bytes of it past the reply limit */
    struct buf junk;                   /* what wasn't JSON */
    struct runner_result result;
};

/* A feed's line handler needs where to report to. */
struct feeding {
    struct runner_parser *parser;
    runner_event_fn fn;
    void *ctx;
};

struct runner_parser *codex_stream_new(const struct settings *settings, const char *session)
{
    struct runner_parser *p = mem_new(struct runner_parser);
    struct usage named = { 0 };

    p->reply_limit = settings->task_reply_limit_bytes;
    usage_set_model(&named, settings->runner_model);
    memcpy(p->model, named.model, sizeof p->model);
    (void)codex_thread_parse(session, &p->asked); /* else as without: so prepare takes it */
    return p;
}

void codex_stream_free(struct runner_parser *p)
{
    if (!p)
        return;
    lines_done(&p->lines);
    buf_done(&p->said);
    buf_done(&p->junk);
    runner_result_done(&p->result);
    free(p);
}

/* ---- session ---- */

static void tell_session(const struct feeding *f)
{
    char text[CODEX_THREAD_TEXT_MAX];
    const struct runner_event ev = { .type = RUNNER_SESSION,
                                     .session = codex_thread_print(&f->parser->thread, text) };

    f->fn(&ev, f->ctx);
}

/* The first line of a run, and once. */
static void note_thread(const struct feeding *f, const struct json *line)
{
    struct runner_parser *p = f->parser;
    const char *id = json_get_str(line, "thread_id");

    if (!codex_thread_is_id(id) || *p->thread.id)
        return;
    if (str_eq(id, p->asked.id))
        p->thread = p->asked;
    else
        memcpy(p->thread.id, id, CODEX_THREAD_ID_MAX + 1);
    tell_session(f);
}

static bool is_lost(const struct runner_parser *p)
{
    return *p->asked.id && !str_eq(p->asked.id, p->thread.id);
}

/* ---- usage ---- */

static uint64_t since(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now; /* it counts from the beginning again */
}

/* What this turn took of what the thread took. */
static bool read_usage(struct runner_parser *p, const struct json *line, struct usage *usage)
{
    const struct json *tokens = json_get(line, "usage");
    const struct usage before = p->thread.counted;
    struct usage now = { 0 };

    if (!json_is_object(tokens))
        return false;
    /* what is absent stays 0 */
    (void)json_get_u64(tokens, "input_tokens", &now.input_tokens);
    (void)json_get_u64(tokens, "output_tokens", &now.output_tokens);
    (void)json_get_u64(tokens, "cached_input_tokens", &now.cache_read_tokens);
    (void)json_get_u64(tokens, "cache_write_input_tokens", &now.cache_write_tokens);
    usage->input_tokens = since(before.input_tokens, now.input_tokens);
    usage->output_tokens = since(before.output_tokens, now.output_tokens);
    usage->cache_read_tokens = since(before.cache_read_tokens, now.cache_read_tokens);
    usage->cache_write_tokens = since(before.cache_write_tokens, now.cache_write_tokens);
    if (usage->input_tokens >= usage->cache_read_tokens) /* it counts them among the others */
        usage->input_tokens -= usage->cache_read_tokens;
    memcpy(usage->model, p->model, sizeof usage->model);
    p->thread.counted = now;
    return usage_is_something(usage);
}

/* ---- the end ---- */

static void end_with(const struct feeding *f, struct runner_result *result)
{
    struct runner_parser *p = f->parser;
    const struct runner_event ev = { .type = RUNNER_FINAL };
    bool first = !p->result.final;

    result->final = true;
    runner_result_done(&p->result);
    p->result = *result;
    if (first)
        f->fn(&ev, f->ctx);
}

static void note_completed(const struct feeding *f, const struct json *line)
{
    struct runner_parser *p = f->parser;
    struct runner_result result = { .ok = true, .dropped_bytes = p->said_dropped };

    if (p->result.ok) /* one turn a run */
        return;
    result.has_usage = read_usage(p, line, &result.usage);
    if (*p->thread.id)
        tell_session(f);
    result.text = mem_printf("%s%s", is_lost(p) ? lost_note : "", buf_str(&p->said));
    end_with(f, &result);
}

static void note_failure(const struct feeding *f, const char *message)
{
    struct runner_result result = { 0 };
    CLEANUP(buf_done) struct buf words = { 0 };

    if (f->parser->result.ok)
        return;
    if (message)
        utf8_clean(&words, message, utf8_cut(message, strlen(message), JUNK_MAX));
    codex_report_step("Turn failed", "error", f->fn, f->ctx);
    result.error = codex_words(words.len > 0 ? buf_str(&words) : NULL, &result.session_gone);
    end_with(f, &result);
}

/* Its error is an object; a text as well, to be safe. */
static void note_failed(const struct feeding *f, const struct json *line)
{
    const struct json *error = json_get(line, "error");

    note_failure(f, json_is_string(error) ? json_str(error) : json_get_str(error, "message"));
}

/* A retry; the last one is followed by turn.failed, with the same words. */
static void note_error(const struct feeding *f, const struct json *line, unsigned waits)
{
    struct runner_parser *p = f->parser;
    const char *message = json_get_str(line, "message");

    if (!message || !str_starts_with(message, RETRY))
        return;
    codex_report_step(message, "running", f->fn, f->ctx);
    if (strstr(message, "waiting for network"))
        p->waits = waits + 1;
    if (p->waits == CODEX_STREAM_WAITS_MAX)
        note_failure(f, message);
}

/* ---- lines ---- */

static void note_said(struct runner_parser *p, const struct json *item)
{
    const char *text = json_get_str(item, "text");
    size_t len = text ? strlen(text) : 0, keep;

    if (len == 0 || !str_eq(json_get_str(item, "type"), "agent_message"))
        return;
    keep = utf8_cut(text, len, p->reply_limit);
    buf_clear(&p->said);
    utf8_clean(&p->said, text, keep);
    p->said_dropped = len - keep;
}

static void on_line(const char *bytes, size_t len, void *ctx)
{
    const struct feeding *f = ctx;
    struct runner_parser *p = f->parser;
    CLEANUP_PTR(json_free) struct json *line = NULL;
    const char *type;
    unsigned waits = p->waits;

    if (bytes[0] != '{' || json_parse_light(bytes, len, NODES_MAX, &line, NULL) < 0) {
        lines_keep(&p->junk, bytes, len, JUNK_MAX);
        return;
    }
    type = json_get_str(line, "type");
    p->waits = 0;
    if (str_eq(type, "thread.started")) {
        note_thread(f, line);
    } else if (type && str_starts_with(type, "item.")) {
        if (str_eq(type, "item.completed"))
            note_said(p, json_get(line, "item"));
        codex_report_item(json_get(line, "item"), type + strlen("item."), f->fn, f->ctx);
    } else if (str_eq(type, "turn.completed")) {
        note_completed(f, line);
    } else if (str_eq(type, "turn.failed")) {
        note_failed(f, line);
    } else if (str_eq(type, "error")) {
        note_error(f, line, waits);
    }
}

void codex_stream_feed(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
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

void codex_stream_finish(struct runner_parser *p, const struct runner_exit *end,
                         struct runner_result *ret_result)
{
    struct feeding f = { .parser = p, .fn = ignore };
    struct runner_result *result = &p->result;

    lines_end(&p->lines, on_line, &f); /* a line may lack its newline */
    if (!result->final) { /* what was said so far is no answer: it is shown as last words */
        result->text = buf_steal(p->junk.len > 0 ? &p->junk : &p->said);
        result->error = codex_words_stderr(end->stderr_tail, &result->session_gone);
        result->session_gone = result->session_gone && *p->asked.id;
    }
    *ret_result = *result;
    *result = (struct runner_result){ 0 };
}
