#include "runner/printout.h"

#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/str.h"
#include "util/utf8.h"

void printout_init(struct printout *out, const struct settings *settings, printout_fn on_line,
                   void *parser)
{
    *out = (struct printout){ .on_line = on_line,
                              .parser = parser,
                              .reply_limit = settings->task_reply_limit_bytes };
}

void printout_done(struct printout *out)
{
    lines_done(&out->lines);
    buf_done(&out->junk);
    buf_done(&out->said);
    runner_result_done(&out->result);
}

static void on_line(const char *bytes, size_t len, void *ctx)
{
    struct printout *out = ctx;
    CLEANUP_PTR(json_free) struct json *line = NULL;

    if (bytes[0] != '{' || json_parse_light(bytes, len, PRINTOUT_NODES_MAX, &line, NULL) < 0)
        lines_keep(&out->junk, bytes, len, PRINTOUT_JUNK_MAX);
    else
        out->on_line(line, out->parser);
}

void printout_feed(struct printout *out, const char *bytes, size_t len, runner_event_fn fn,
                   void *ctx)
{
    out->fn = fn;
    out->ctx = ctx;
    lines_feed(&out->lines, bytes, len, on_line, out);
}

void printout_session(struct printout *out, const char *id)
{
    const struct runner_event ev = { .type = RUNNER_SESSION, .session = out->session };

    if (!runner_is_session(id) || str_eq(id, out->session) ||
        out->sessions == PRINTOUT_SESSIONS_MAX)
        return;
    memcpy(out->session, id, strlen(id) + 1);
    out->sessions++;
    out->fn(&ev, out->ctx);
}

size_t printout_say(struct printout *out, const char *text)
{
    size_t len = text ? strlen(text) : 0, keep = text ? utf8_cut(text, len, out->reply_limit) : 0;

    buf_clear(&out->said);
    if (text)
        utf8_clean(&out->said, text, keep);
    return len - keep;
}

void printout_conclude(struct printout *out, struct runner_result *result)
{
    const struct runner_event ev = { .type = RUNNER_FINAL };
    bool first = !out->result.final;

    result->final = true;
    runner_result_done(&out->result);
    out->result = *result;
    if (first)
        out->fn(&ev, out->ctx);
}

static void ignore(const struct runner_event *ev, void *ctx)
{
    (void)ev;
    (void)ctx; /* it is over: nobody is told of progress any more */
}

bool printout_end(struct printout *out)
{
    out->fn = ignore;
    lines_end(&out->lines, on_line, out);
    if (!out->result.final)
        out->result.text = buf_steal(out->junk.len > 0 ? &out->junk : &out->said);
    return out->result.final;
}

void printout_take(struct printout *out, struct runner_result *ret_result)
{
    *ret_result = out->result;
    out->result = (struct runner_result){ 0 };
}
