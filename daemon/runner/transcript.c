#include "runner/transcript.h"

#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/str.h"
#include "util/utf8.h"

void transcript_init(struct transcript *t, const struct settings *settings, transcript_fn on_line,
                     void *parser)
{
    *t = (struct transcript){ .on_line = on_line,
                              .parser = parser,
                              .reply_limit = settings->task_reply_limit_bytes };
}

void transcript_done(struct transcript *t)
{
    lines_done(&t->lines);
    buf_done(&t->junk);
    buf_done(&t->said);
    runner_result_done(&t->result);
}

static void on_line(const char *bytes, size_t len, void *ctx)
{
    struct transcript *t = ctx;
    CLEANUP_PTR(json_free) struct json *line = NULL;

    if (bytes[0] != '{' || json_parse_light(bytes, len, TRANSCRIPT_NODES_MAX, &line, NULL) < 0)
        lines_keep(&t->junk, bytes, len, TRANSCRIPT_JUNK_MAX);
    else
        t->on_line(line, t->parser);
}

void transcript_feed(struct transcript *t, const char *bytes, size_t len, runner_event_fn fn,
                     void *ctx)
{
    t->fn = fn;
    t->ctx = ctx;
    lines_feed(&t->lines, bytes, len, on_line, t);
}

void transcript_session(struct transcript *t, const char *id)
{
    const struct runner_event ev = { .type = RUNNER_SESSION, .session = t->session };

    if (!runner_is_session(id) || str_eq(id, t->session) || t->sessions == TRANSCRIPT_SESSIONS_MAX)
        return;
    memcpy(t->session, id, strlen(id) + 1);
    t->sessions++;
    t->fn(&ev, t->ctx);
}

size_t transcript_say(struct transcript *t, const char *text)
{
    size_t len = text ? strlen(text) : 0, keep = text ? utf8_cut(text, len, t->reply_limit) : 0;

    buf_clear(&t->said);
    if (text)
        utf8_clean(&t->said, text, keep);
    return len - keep;
}

void transcript_conclude(struct transcript *t, struct runner_result *result)
{
    const struct runner_event ev = { .type = RUNNER_FINAL };
    bool first = !t->result.final;

    result->final = true;
    runner_result_done(&t->result);
    t->result = *result;
    if (first)
        t->fn(&ev, t->ctx);
}

static void ignore(const struct runner_event *ev, void *ctx)
{
    (void)ev;
    (void)ctx; /* it is over: nobody is told of progress any more */
}

bool transcript_end(struct transcript *t)
{
    t->fn = ignore;
    lines_end(&t->lines, on_line, t);
    if (!t->result.final)
        t->result.text = buf_steal(t->junk.len > 0 ? &t->junk : &t->said);
    return t->result.final;
}

void transcript_take(struct transcript *t, struct runner_result *ret_result)
{
    *ret_result = t->result;
    t->result = (struct runner_result){ 0 };
}
