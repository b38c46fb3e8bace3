/* The payload of a message as the server sent it: what an agent reads of it is text, holds the
 * message, and the sender's line is one line. And its attachments: each has an id fit to ask for,
 * and is named where it stands. */
#include "support/replay.h"

#include <string.h>

#include "runner/prompt.h"
#include "support/input.h"
#include "task/attached.h"
#include "task/task.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/utf8.h"

enum { FRAME_MAX = 1024 }; /* what stands around, besides the messages */

static void check_attached(const struct attached *attached, const char *text)
{
    for (size_t i = 0; i < attached->len; i++) {
        const char *id = attached->items[i].id;

        FUZZ_CHECK(id[0] && strlen(id) <= ATTACHED_ID_MAX && !strchr(id, '/'));
        FUZZ_CHECK(strcmp(id, ".") != 0 && strcmp(id, "..") != 0);
        for (; *id; id++)
            FUZZ_CHECK(*id > ' ' && *id <= '~');
        FUZZ_CHECK(strstr(text, attached->items[i].path));
    }
}

static void check(const struct task *task, size_t size, bool begins)
{
    static const char head[] = "[Sender: ";
    struct attached attached = { 0 };
    struct err err = { 0 };
    int r = attached_parse(task->payload, begins, &attached, &err);
    AUTO_FREE char *text = NULL;
    const char *end;

    FUZZ_CHECK(r == 0 || (err.text[0] && attached.len == 0));
    FUZZ_CHECK(attached.len <= ATTACHED_MAX);
    for (size_t i = 0; i < attached.len; i++)
        attached.items[i].path = mem_printf("/a/%zu.bin", i);
    text = prompt_text(task, &attached, begins);
    check_attached(&attached, text);
    attached_done(&attached);

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
