#include "runner/capture.h"

#include <stdlib.h>

#include "util/buf.h"
#include "util/mem.h"
#include "util/utf8.h"

enum { TAIL_BYTES = 4096 };

struct capture {
    const struct runner *runner;
    struct runner_parser *parser;
    struct buf tail; /* of standard error; at most twice TAIL_BYTES */
    uint64_t total, limit;
};

struct capture *capture_new(const struct runner *runner, const struct settings *settings,
                            const char *session)
{
    struct capture *c = mem_new(struct capture);

    c->runner = runner;
    c->parser = runner->parser_new(settings, session);
    c->limit = settings->task_output_limit_bytes;
    return c;
}

void capture_free(struct capture *c)
{
    if (!c)
        return;
    c->runner->parser_free(c->parser);
    buf_done(&c->tail);
    free(c);
}

static bool passes_limit(struct capture *c, size_t len)
{
    bool before = c->total > c->limit;

    c->total += len;
    return !before && c->total > c->limit;
}

bool capture_stdout(struct capture *c, const char *bytes, size_t len, runner_event_fn fn, void *ctx)
{
    bool passes = passes_limit(c, len);

    if (c->total <= c->limit)
        c->runner->feed(c->parser, bytes, len, fn, ctx);
    return passes;
}

bool capture_stderr(struct capture *c, const char *bytes, size_t len)
{
    if (len > TAIL_BYTES) {
        bytes += len - TAIL_BYTES;
        buf_clear(&c->tail);
        buf_append(&c->tail, bytes, TAIL_BYTES);
    } else {
        buf_append(&c->tail, bytes, len);
    }
    if (c->tail.len > TAIL_BYTES)
        buf_consume(&c->tail, c->tail.len - TAIL_BYTES);
    return passes_limit(c, len);
}

void capture_finish(struct capture *c, bool exit_ok, struct capture_result *ret_result)
{
    struct buf clean = { 0 };
    struct runner_exit end = { .ok = exit_ok };

    *ret_result = (struct capture_result){ 0 };
    utf8_clean(&clean, buf_str(&c->tail), c->tail.len);
    ret_result->stderr_tail = buf_steal(&clean);
    end.stderr_tail = ret_result->stderr_tail;
    c->runner->finish(c->parser, &end, &ret_result->result);
}

void capture_result_done(struct capture_result *r)
{
    runner_result_done(&r->result);
    free(r->stderr_tail);
    *r = (struct capture_result){ 0 };
}
