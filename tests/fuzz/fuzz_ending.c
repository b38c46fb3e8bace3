/* How an attempt ended, in words for a chat: flags, stop, wait status (whose upper half holds more
 * flags) and limits, then the end of standard error up to a NUL, and the answer, or the runner's
 * error. There is always a text, valid and bounded, and an answer counts only where the program
 * ended well or its own result was seen. */
#include "support/replay.h"

#include <string.h>
#include <sys/wait.h>

#include "core/ending.h"
#include "support/input.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/utf8.h"

enum { NOTE_MAX = 8192 }; /* around the answer or the last words */

/* What the core gets has been through it. */
static char *clean(char *text)
{
    AUTO_FREE char *dirty = text;
    struct buf b = { 0 };

    utf8_clean(&b, dirty, strlen(dirty));
    return buf_steal(&b);
}

static void check_note(const char *text, size_t max)
{
    AUTO_FREE char *with = ending_add_note(mem_strdup(text), "nairid noticed `a`.", max + 1024);

    FUZZ_CHECK(utf8_is_valid(with, strlen(with)));
    FUZZ_CHECK(strlen(text) > max + 1024 || strlen(with) <= max + 1024);
    FUZZ_CHECK(strcmp(with + strlen(with) - 3, "`.]") == 0);
}

static void check_shorten(const char *text, size_t max)
{
    AUTO_FREE char *cut = ending_shorten(text, max, "too long");

    FUZZ_CHECK(utf8_is_valid(cut, strlen(cut)));
    check_note(text, max);
    FUZZ_CHECK(strlen(text) <= max ? strcmp(cut, text) == 0 : strlen(cut) <= max + 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    uint8_t flags = input_byte(&in);
    enum ending_stop stop = (enum ending_stop)(input_byte(&in) % ENDING_STOP_SHUTDOWN);
    struct ending e = {
        .failed_to_start = flags & 1,
        .not_found = flags & 2,
        .start_error = flags & 4 ? "open '/x': it isn't there" : "",
        .stuck = flags & 8,
        .oom = flags & 16,
        .ok = flags & 32,
        .status = (int)input_number(&in, 2),
        .dropped_bytes = input_number(&in, 2),
    };
    uint8_t more = input_byte(&in);
    uint8_t others = input_byte(&in);
    bool anew = others & 1;
    const struct ending_limits limits = {
        .program = "sh",
        .timeout_ms = (uint32_t)input_number(&in, 4),
        .idle_timeout_ms = 1000,
        .output_limit_bytes = input_number(&in, 8),
        .reply_limit_bytes = 1024,
        .memory_bytes = flags & 64 ? 1 << 20 : 0,
    };
    AUTO_FREE char *tail = clean(input_until(&in, '\0'));
    AUTO_FREE char *text = clean(input_rest(&in));
    AUTO_FREE char *reply = NULL;
    enum task_reply_kind kind;

    e.stderr_tail = tail;
    e.text = flags & 128 ? NULL : text;
    e.error = more & 1 ? text : NULL;
    e.final = more & 2;
    e.session_gone = more & 4;
    e.limit = (enum limit)((more >> 3) % LIMIT_COUNT);
    e.files_gone = more & 128;
    e.unfit = others & 2;
    kind = ending_reply(&e, stop, anew, &limits, &reply);
    FUZZ_CHECK(reply && reply[0] && utf8_is_valid(reply, strlen(reply)));
    if (kind == TASK_REPLY_ASSISTANT) {
        FUZZ_CHECK(e.ok && !e.failed_to_start && e.text);
        FUZZ_CHECK(e.final || (!e.oom && e.limit == LIMIT_NONE && WIFEXITED(e.status) &&
                               WEXITSTATUS(e.status) == 0));
        FUZZ_CHECK(stop == ENDING_STOP_NONE || stop == ENDING_STOP_FINAL);
        FUZZ_CHECK(anew ? strstr(reply, text) != NULL : strncmp(reply, text, strlen(text)) == 0);
        FUZZ_CHECK(strlen(reply) <= strlen(text) + NOTE_MAX);
    } else {
        FUZZ_CHECK(kind == TASK_REPLY_ERROR && strlen(reply) <= NOTE_MAX);
    }
    check_shorten(text, flags);
    return 0;
}
