/* The payload of a message as the server sent it: what an agent reads of it is text, holds the
 * message, and the sender's line is one line. */
#include "support/replay.h"

#include <string.h>

#include "runner/prompt.h"
#include "support/input.h"
#include "task/task.h"
#include "util/cleanup.h"
#include "util/utf8.h"

enum { FRAME_MAX = 1024 }; /* what stands around, besides the messages */

static void check(const struct task *task, size_t size, bool begins)
{
    static const char head[] = "[Sender: ";
    AUTO_FREE char *text = prompt_text(task, begins);
    const char *end;

    FUZZ_CHECK(utf8_is_valid(text, strlen(text)) && strstr(text, task->prompt));
    FUZZ_CHECK(strlen(text) <= FRAME_MAX + 16 * size);
    if (strncmp(text, head, strlen(head)) != 0 || begins)
        return;
    end = strchr(text, ']');
    FUZZ_CHECK(end && strncmp(end, "]\n\n", 3) == 0 && !memchr(text, '\n', (size_t)(end - text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char words[] = "the message";
    struct input in = { data, size };
    AUTO_FREE char *payload = input_rest(&in);
    const struct task task = { .prompt = words, .payload = payload };

    check(&task, size, true);
    check(&task, size, false);
    return 0;
}
