#include "runner/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/prompt.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"
#include "util/utf8.h"

enum { LINE_MAX_BYTES = 2000 }; /* of a line that is shown as progress */

struct runner_parser {
    struct buf answer; /* as printed, up to the limit */
    size_t limit;
    size_t dropped;
    struct buf line; /* the line being printed, cut */
};

static const char *program(const struct settings *settings)
{
    return settings->runner_argv.len > 0 ? settings->runner_argv.items[0] : NULL;
}

static int prepare(const struct settings *settings, const struct runner_turn *turn,
                   struct runner_start *ret_start, struct err *err)
{
    const struct task *task = turn->task;
    struct runner_start start = { 0 };
    struct buf input = { 0 };

    if (settings->runner_argv.len == 0)
        return err_set(err, -EINVAL, "runner.argv is empty: it names the program to run");
    strv_copy(&start.argv, &settings->runner_argv);
    runner_add_env(settings, &start.env);
    buf_append_str(&input, task->prompt ? task->prompt : "");
    prompt_add_files(&input, turn->attached);
    start.input_len = input.len;
    start.input = buf_steal(&input);
    start.workspace_read_only = task->mode == TASK_MODE_ASK;
    *ret_start = start;
    return 0;
}

static struct runner_parser *parser_new(const struct settings *settings, const char *session)
{
    struct runner_parser *p = mem_new(struct runner_parser);

    (void)session; /* it has none */
    p->limit = settings->task_reply_limit_bytes;
    return p;
}

static void report_line(struct runner_parser *p, runner_event_fn fn, void *ctx)
{
    CLEANUP(buf_done) struct buf clean = { 0 };
    struct progress progress = { .type = PROGRESS_TEXT };
    const struct runner_event ev = { .type = RUNNER_PROGRESS,
                                     .progress = &progress,
                                     .cut = p->line.len >= LINE_MAX_BYTES };

    utf8_clean(&clean, buf_str(&p->line), p->line.len);
    progress.text = buf_str(&clean);
    if (progress.text[strspn(progress.text, " \t")] != '\0')
        fn(&ev, ctx);
}

/* Of many lines in one piece only the last whole one is worth a report. */
static void feed(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
                 void *ctx)
{
    size_t room = p->limit - p->answer.len, keep = len < room ? len : room;
    const char *end = memrchr(bytes, '\n', len), *start;
    size_t rest;

    buf_append(&p->answer, bytes, keep);
    p->dropped += len - keep;
    if (end) {
        start = memrchr(bytes, '\n', (size_t)(end - bytes));
        if (start) /* the last line begins in this piece */
            buf_clear(&p->line);
        start = start ? start + 1 : bytes;
        rest = (size_t)(end - start);
        buf_append(&p->line, start, rest < LINE_MAX_BYTES ? rest : LINE_MAX_BYTES);
        report_line(p, fn, ctx);
        buf_clear(&p->line);
        len -= (size_t)(end + 1 - bytes);
        bytes = end + 1;
    }
    rest = p->line.len < LINE_MAX_BYTES ? LINE_MAX_BYTES - p->line.len : 0;
    buf_append(&p->line, bytes, len < rest ? len : rest);
}

static void finish(struct runner_parser *p, const struct runner_exit *end,
                   struct runner_result *ret_result)
{
    struct buf clean = { 0 };

    utf8_clean(&clean, buf_str(&p->answer), p->answer.len);
    while (clean.len > 0 && clean.data[clean.len - 1] == '\n')
        clean.len--;
    if (clean.data)
        clean.data[clean.len] = '\0';
    *ret_result = (struct runner_result){ .ok = end->ok,
                                          .text = buf_steal(&clean),
                                          .dropped_bytes = p->dropped };
}

static void parser_free(struct runner_parser *p)
{
    if (!p)
        return;
    buf_done(&p->answer);
    buf_done(&p->line);
    free(p);
}

const struct runner runner_command = {
    .name = "command",
    .program = program,
    .prepare = prepare,
    .parser_new = parser_new,
    .feed = feed,
    .finish = finish,
    .parser_free = parser_free,
};
