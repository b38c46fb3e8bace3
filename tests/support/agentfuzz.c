#include "support/agentfuzz.h"

#include <stdlib.h>
#include <string.h>

#include "runner/runner.h"
#include "support/input.h"
#include "support/replay.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/utf8.h"

/* Notes around an answer: tools that were denied, a limit that was hit. */
enum { NOTE_MAX = 4096 };

static void add(struct buf *told, const char *text)
{
    if (!text)
        return;
    FUZZ_CHECK(utf8_is_valid(text, strlen(text)));
    buf_printf(told, " %s", text);
}

static void on_event(const struct runner_event *ev, void *ctx)
{
    const struct progress *p = ev->progress;
    struct buf *told = ctx;

    FUZZ_CHECK((ev->type == RUNNER_PROGRESS) == (p != NULL));
    FUZZ_CHECK((ev->type == RUNNER_SESSION) == (ev->session != NULL));
    buf_printf(told, "\n%d", (int)ev->type);
    if (ev->session) {
        FUZZ_CHECK(ev->session[0] && strlen(ev->session) <= 64);
        add(told, ev->session);
    }
    if (!p)
        return;
    FUZZ_CHECK(p->type < PROGRESS_TYPE_COUNT);
    buf_printf(told, " %d%s", (int)p->type, ev->cut ? " cut" : "");
    add(told, p->text);
    add(told, p->tool);
    add(told, p->input);
    add(told, p->status);
    add(told, p->output);
    add(told, p->summary);
    add(told, p->tool_use_id);
    add(told, p->parent_tool_use_id);
}

static void check_result(const struct runner_result *r, const struct settings *s)
{
    FUZZ_CHECK(!r->text || utf8_is_valid(r->text, strlen(r->text)));
    FUZZ_CHECK(!r->text || strlen(r->text) <= s->task_reply_limit_bytes + NOTE_MAX);
    FUZZ_CHECK(!r->error || (r->error[0] && utf8_is_valid(r->error, strlen(r->error))));
    FUZZ_CHECK(!r->error || strlen(r->error) <= NOTE_MAX);
    FUZZ_CHECK(!r->ok || (r->final && r->text && !r->error && !r->session_gone));
    for (const char *c = r->usage.model; r->has_usage && *c; c++)
        FUZZ_CHECK(*c >= ' ' && *c <= '~');
}

static void run(const struct runner *runner, const struct settings *s, const char *session,
                struct input in, size_t piece, const struct runner_exit *end, struct buf *told,
                struct runner_result *ret_result)
{
    struct runner_parser *p = runner->parser_new(s, session);

    for (size_t n; in.left > 0; in.at += n, in.left -= n) {
        AUTO_FREE char *bytes = NULL; /* without a NUL behind it */

        n = in.left < piece ? in.left : piece;
        bytes = malloc(n);
        FUZZ_CHECK(bytes != NULL);
        memcpy(bytes, in.at, n);
        runner->feed(p, bytes, n, on_event, told);
    }
    runner->finish(p, end, ret_result);
    runner->parser_free(p);
    check_result(ret_result, s);
}

int agentfuzz_run(const char *name, const uint8_t *data, size_t size)
{
    const struct runner *runner = runner_find(name);
    struct input in = { data, size };
    size_t piece = ((size_t)input_byte(&in) + 1) * 4;
    uint8_t flags = input_byte(&in);
    const struct settings s = {
        .task_reply_limit_bytes = 1 + input_number(&in, 2),
        .runner_permissions = flags & 2 ? SETTINGS_BYPASS : SETTINGS_EDITS,
    };
    const char *session = flags & 4 ? AGENTFUZZ_SESSION : NULL;
    AUTO_FREE char *dirty = input_until(&in, '\0');
    CLEANUP(buf_done) struct buf tail = { 0 }, once = { 0 }, twice = { 0 };
    struct runner_result whole = { 0 }, pieces = { 0 };
    struct runner_exit end = { .ok = flags & 1 };

    utf8_clean(&tail, dirty, strlen(dirty));
    end.stderr_tail = buf_str(&tail);
    run(runner, &s, session, in, in.left, &end, &once, &whole);
    run(runner, &s, session, in, piece, &end, &twice, &pieces);
    FUZZ_CHECK(str_eq(buf_str(&once), buf_str(&twice)));
    FUZZ_CHECK(whole.ok == pieces.ok && whole.final == pieces.final);
    FUZZ_CHECK(str_eq(whole.text, pieces.text) && str_eq(whole.error, pieces.error));
    FUZZ_CHECK(whole.session_gone == pieces.session_gone);
    FUZZ_CHECK(whole.dropped_bytes == pieces.dropped_bytes);
    runner_result_done(&whole);
    runner_result_done(&pieces);
    return 0;
}
