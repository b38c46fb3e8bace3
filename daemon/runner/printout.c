#include "runner/printout.h"

#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/str.h"
#include "util/utf8.h"

void printout_init(struct printout *t, const struct settings *settings, printout_fn on_line,
                   void *parser)
{
    *t = (struct printout){ .on_line = on_line,
                            .parser = parser,
                            .reply_limit = settings->task_reply_limit_bytes };
}

void printout_done(struct printout *t)
{
    lines_done(&t->lines);
    buf_done(&t->junk);
    buf_done(&t->said);
    runner_result_done(&t->result);
}

static void on_line(const char *bytes, size_t len, void *ctx)
{
    struct printout *t = ctx;
    CLEANUP_PTR(json_free) struct json *line = NULL;

    if (bytes[0] != '{' || json_parse_light(bytes, len, PRINTOUT_NODES_MAX, &line, NULL) < 0)
        lines_keep(&t->junk, bytes, len, PRINTOUT_JUNK_MAX);
    else
        t->on_line(line, t->parser);
}

void printout_feed(struct printout *t, const char *bytes, size_t len, runner_event_fn fn, void *ctx)
{
    t->fn = fn;
    t->ctx = ctx;
    lines_feed(&t->lines, bytes, len, on_line, t);
}

void printout_session(struct printout *t, const char *id)
{
    const struct runner_event ev = { .type = RUNNER_SESSION, .session = t->session };

    if (!runner_is_session(id) || str_eq(id, t->session) || t->sessions == PRINTOUT_SESSIONS_MAX)
        return;
    memcpy(t->session, id, strlen(id) + 1);
    t->sessions++;
    t->fn(&ev, t->ctx);
}

size_t printout_say(struct printout *t, const char *text)
{
    size_t len = text ? strlen(text) : 0, keep = text ? utf8_cut(text, len, t->reply_limit) : 0;

    buf_clear(&t->said);
    if (text)
        utf8_clean(&t->said, text, keep);
    return len - keep;
}

void printout_conclude(struct printout *t, struct runner_result *result)
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

bool printout_end(struct printout *t)
{
    t->fn = ignore;
    lines_end(&t->lines, on_line, t);
    if (!t->result.final)
        t->result.text = buf_steal(t->junk.len > 0 ? &t->junk : &t->said);
    return t->result.final;
}

void printout_take(struct printout *t, struct runner_result *ret_result)
{
    *ret_result = t->result;
    t->result = (struct runner_result){ 0 };
}
