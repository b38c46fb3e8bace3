/* What a task prints, for the runner "command": the first bytes say how it is cut into pieces and
 * what the limits are, the rest is the output. The answer doesn't depend on the cuts, is text, and
 * is no longer than its limit. */
#include "support/replay.h"

#include <string.h>

#include "runner/capture.h"
#include "runner/command.h"
#include "support/input.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/utf8.h"

static void on_event(const struct runner_event *ev, void *ctx)
{
    size_t *count = ctx;
    const char *text;

    FUZZ_CHECK(ev->type == RUNNER_PROGRESS && ev->progress->type == PROGRESS_TEXT);
    text = ev->progress->text;
    FUZZ_CHECK(text && text[0] && utf8_is_valid(text, strlen(text)) && !strchr(text, '\n'));
    FUZZ_CHECK(strlen(text) <= 3 * 2000);
    ++*count;
}

static void run(const struct settings *s, struct input in, size_t piece, bool exit_ok,
                struct capture_result *ret_result)
{
    CLEANUP_PTR(capture_free) struct capture *c = capture_new(&runner_command, s, NULL);
    size_t events = 0, calls = 0, total = 2 * in.left, passed = 0;

    for (size_t n; in.left > 0; in.at += n, in.left -= n, calls++) {
        /* a copy without a NUL behind it, so that a read past its end is seen */
        AUTO_FREE char *bytes = NULL;

        n = in.left < piece ? in.left : piece;
        bytes = malloc(n);
        FUZZ_CHECK(bytes != NULL);
        memcpy(bytes, in.at, n);
        passed += capture_stdout(c, bytes, n, on_event, &events);
        passed += capture_stderr(c, bytes, n);
    }
    FUZZ_CHECK(events <= calls && passed == (total > s->task_output_limit_bytes));
    capture_finish(c, exit_ok, ret_result);
    FUZZ_CHECK(ret_result->result.ok == exit_ok && ret_result->result.text);
    FUZZ_CHECK(utf8_is_valid(ret_result->result.text, strlen(ret_result->result.text)));
    FUZZ_CHECK(strlen(ret_result->result.text) <= 3 * s->task_reply_limit_bytes);
    FUZZ_CHECK(strlen(ret_result->stderr_tail) <= 3 * 4096);
    FUZZ_CHECK(utf8_is_valid(ret_result->stderr_tail, strlen(ret_result->stderr_tail)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    size_t piece = (size_t)input_byte(&in) + 1;
    bool exit_ok = input_byte(&in) & 1;
    const struct settings s = {
        .task_reply_limit_bytes = 1 + input_number(&in, 2),
        .task_output_limit_bytes = 1 + input_number(&in, 3),
    };
    struct capture_result whole, pieces;

    run(&s, in, in.left, exit_ok, &whole);
    run(&s, in, piece, exit_ok, &pieces);
    if (2 * in.left <= s.task_output_limit_bytes) {
        FUZZ_CHECK(str_eq(whole.result.text, pieces.result.text));
        FUZZ_CHECK(whole.result.dropped_bytes == pieces.result.dropped_bytes);
        FUZZ_CHECK(str_eq(whole.stderr_tail, pieces.stderr_tail));
    }
    capture_result_done(&whole);
    capture_result_done(&pieces);
    return 0;
}
