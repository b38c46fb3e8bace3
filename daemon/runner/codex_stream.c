#include "runner/codex_stream.h"

#include <stdlib.h>
#include <string.h>

#include "runner/codex_report.h"
#include "runner/codex_thread.h"
#include "runner/codex_words.h"
#include "runner/printout.h"
#include "runner/shown.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

#define RETRY "Reconnecting..."

static const char lost_note[] =
    "[the earlier conversation could not be found: the agent began anew and doesn't know what was "
    "said before]\n\n";

struct runner_parser {
    struct printout out;
    char model[USAGE_MODEL_MAX];
    struct codex_thread asked, thread; /* id "": none, not yet */
    unsigned waits;                    /* lines in a row that say that there is no network */
    size_t said_dropped;               /* bytes past the reply limit of what was said last */
};

static void on_line(const struct json *line, void *parser);

struct runner_parser *codex_stream_new(const struct settings *settings, const char *session)
{
    struct runner_parser *p = mem_new(struct runner_parser);
    struct usage named = { 0 };

    printout_init(&p->out, settings, on_line, p);
    usage_set_model(&named, settings->runner_model);
    memcpy(p->model, named.model, sizeof p->model);
    (void)codex_thread_parse(session, &p->asked); /* else as without: so prepare takes it */
    return p;
}

void codex_stream_free(struct runner_parser *p)
{
    if (!p)
        return;
    printout_done(&p->out);
    free(p);
}

/* ---- session ---- */

static void tell_session(struct runner_parser *p)
{
    char text[CODEX_THREAD_TEXT_MAX];
    const struct runner_event ev = { .type = RUNNER_SESSION,
                                     .session = codex_thread_print(&p->thread, text) };

    p->out.fn(&ev, p->out.ctx);
}

/* The first line of a run, and once. */
static void note_thread(struct runner_parser *p, const struct json *line)
{
    const char *id = json_get_str(line, "thread_id");

    if (!codex_thread_is_id(id) || *p->thread.id)
        return;
    if (str_eq(id, p->asked.id))
        p->thread = p->asked;
    else
        memcpy(p->thread.id, id, CODEX_THREAD_ID_MAX + 1);
    tell_session(p);
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

static void note_completed(struct runner_parser *p, const struct json *line)
{
    struct runner_result result = { .ok = true, .dropped_bytes = p->said_dropped };

    if (p->out.result.ok) /* one turn a run */
        return;
    result.has_usage = read_usage(p, line, &result.usage);
    if (*p->thread.id)
        tell_session(p);
    result.text = mem_printf("%s%s", is_lost(p) ? lost_note : "", buf_str(&p->out.said));
    printout_conclude(&p->out, &result);
}

static void note_failure(struct runner_parser *p, const char *message)
{
    struct runner_result result = { 0 };
    CLEANUP(buf_done) struct buf words = { 0 };

    if (p->out.result.ok)
        return;
    if (message)
        utf8_clean(&words, message, utf8_cut(message, strlen(message), PRINTOUT_JUNK_MAX));
    shown_step("Turn failed", "error", p->out.fn, p->out.ctx);
    result.error = codex_words(words.len > 0 ? buf_str(&words) : NULL, &result.session_gone);
    printout_conclude(&p->out, &result);
}

/* Its error is an object; a text as well, to be safe. */
static void note_failed(struct runner_parser *p, const struct json *line)
{
    const struct json *error = json_get(line, "error");

    note_failure(p, json_is_string(error) ? json_str(error) : json_get_str(error, "message"));
}

/* A retry; the last one is followed by turn.failed, with the same words. */
static void note_error(struct runner_parser *p, const struct json *line, unsigned waits)
{
    const char *message = json_get_str(line, "message");

    if (!message || !str_starts_with(message, RETRY))
        return;
    shown_step(message, "running", p->out.fn, p->out.ctx);
    if (strstr(message, "waiting for network"))
        p->waits = waits + 1;
    if (p->waits == CODEX_STREAM_WAITS_MAX)
        note_failure(p, message);
}

/* ---- lines ---- */

static void note_said(struct runner_parser *p, const struct json *item)
{
    const char *text = json_get_str(item, "text");

    if (!str_is_empty(text) && str_eq(json_get_str(item, "type"), "agent_message"))
        p->said_dropped = printout_say(&p->out, text);
}

static void on_line(const struct json *line, void *parser)
{
    struct runner_parser *p = parser;
    const char *type = json_get_str(line, "type");
    unsigned waits = p->waits;

    p->waits = 0;
    if (str_eq(type, "thread.started")) {
        note_thread(p, line);
    } else if (type && str_starts_with(type, "item.")) {
        if (str_eq(type, "item.completed"))
            note_said(p, json_get(line, "item"));
        codex_report_item(json_get(line, "item"), type + strlen("item."), p->out.fn, p->out.ctx);
    } else if (str_eq(type, "turn.completed")) {
        note_completed(p, line);
    } else if (str_eq(type, "turn.failed")) {
        note_failed(p, line);
    } else if (str_eq(type, "error")) {
        note_error(p, line, waits);
    }
}

void codex_stream_feed(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
                       void *ctx)
{
    printout_feed(&p->out, bytes, len, fn, ctx);
}

void codex_stream_finish(struct runner_parser *p, const struct runner_exit *end,
                         struct runner_result *ret_result)
{
    struct runner_result *result = &p->out.result;

    if (!printout_end(&p->out)) {
        result->error = codex_words_stderr(end->stderr_tail, &result->session_gone);
        result->session_gone = result->session_gone && *p->asked.id;
    }
    printout_take(&p->out, ret_result);
}
