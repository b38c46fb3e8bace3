#include "runner/prompt.h"

#include <errno.h>
#include <string.h>

#include "task/attached.h"
#include "task/task.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum { SENDER_PART_MAX = 200 }; /* bytes of a name, an address, a platform */

#define MAILTO "<mailto:"

/* Names go into a line whose form the agent trusts: they don't end it. */
static void take_part(char part[SENDER_PART_MAX], const struct json *sender, const char *key)
{
    const char *text = json_get_str(sender, key);

    (void)utf8_line(part, SENDER_PART_MAX, text ? text : "");
    for (char *at = strpbrk(part, "[]"); at; at = strpbrk(at, "[]"))
        *at = *at == '[' ? '(' : ')';
}

/* Slack writes an address as a link: <mailto:x|y> is shown as y. */
static const char *clean_address(char *address)
{
    char *bar, *end;

    if (!str_starts_with(address, MAILTO))
        return address;
    bar = strchr(address, '|');
    end = strchr(address, '>');
    if (!end)
        return address;
    *end = '\0';
    return bar && bar < end ? bar + 1 : address + strlen(MAILTO);
}

static void add_sender(struct buf *b, const struct json *payload)
{
    const struct json *sender = json_get(payload, "sender_metadata");
    char name[SENDER_PART_MAX], email[SENDER_PART_MAX], platform[SENDER_PART_MAX];
    const char *address;

    take_part(name, sender, "name");
    take_part(email, sender, "email");
    take_part(platform, sender, "platform");
    address = clean_address(email);
    if (!*name && !*address && !*platform)
        return;
    buf_append_str(b, "[Sender:");
    if (*name)
        buf_printf(b, " %s", name);
    if (*address)
        buf_printf(b, " (%s)", address);
    if (*platform)
        buf_printf(b, " via %s", platform);
    buf_append_str(b, "]\n\n");
}

/* The files that came with one message: 0 is the message itself. */
static void add_files(struct buf *b, const struct attached *attached, size_t earlier)
{
    bool first = true;

    for (size_t i = 0; attached && i < attached->len; i++) {
        const struct attached_item *item = &attached->items[i];

        if (item->earlier != earlier || !item->path)
            continue;
        buf_printf(b, "%s\n- %s", first ? "\n---\nAttachments:" : "", item->path);
        first = false;
    }
}

static bool has_files(const struct attached *attached, size_t earlier)
{
    for (size_t i = 0; attached && i < attached->len; i++)
        if (attached->items[i].earlier == earlier && attached->items[i].path)
            return true;
    return false;
}

void prompt_add_files(struct buf *b, const struct attached *attached)
{
    add_files(b, attached, 0);
}

/* Whether there were any. */
static bool add_earlier(struct buf *b, const struct json *payload, const struct attached *attached)
{
    const struct json *list = json_get(payload, "previous_messages");
    const char *text;
    size_t number = 0, place = 0;

    if (!json_is_array(list))
        return false;
    for (const struct json *node = json_first(list); node; node = json_next(node)) {
        text = json_get_str(node, "message");
        if (!has_files(attached, ++place) && str_is_empty(text))
            continue;
        if (number++ == 0)
            buf_append_str(b,
                           "THREAD CONTEXT: this conversation goes on from a thread. Its earlier "
                           "messages follow, oldest first; the message to answer comes after "
                           "them.\n\nPrevious messages in thread:\n---\n");
        buf_printf(b, "Message %zu:\n%s", number, text ? text : "");
        add_files(b, attached, place);
        buf_append_str(b, "\n\n");
    }
    if (number > 0)
        buf_append_str(b, "---\n\nLATEST MESSAGE (respond to this):\n\n");
    return number > 0;
}

char *prompt_text(const struct task *task, const struct attached *attached, bool begins)
{
    CLEANUP_PTR(json_free) struct json *payload = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    bool has_earlier;

    if (task->payload && json_parse(task->payload, strlen(task->payload), &payload, NULL) < 0)
        payload = NULL;
    has_earlier = begins && add_earlier(&b, payload, attached);
    add_sender(&b, payload);
    buf_append_str(&b, task->prompt ? task->prompt : "");
    add_files(&b, attached, 0);
    if (has_earlier)
        buf_append_str(&b, "\n\nAnswer the latest message. Use the earlier ones only where they "
                           "matter to it.");
    return buf_steal(&b);
}

#define OURS                                                                                       \
    "You work for people who write to you from a chat. Your last message is sent back to them as " \
    "the answer, and it is all that they see: they can't open files of this machine, so say in "   \
    "it "                                                                                          \
    "what matters, briefly and in plain words. "

#define PLACE                                                                                      \
    "You run in a sandbox. The directory that you start in is the conversation's own and stays "   \
    "from message to message; /tmp doesn't. Most of the machine and of the network isn't there: "  \
    "where something is refused, say so instead of looking for a way around it. A line like "      \
    "[Sender: NAME (EMAIL) via PLATFORM] before a message says who wrote it and is no part of it."

/* The model is told what it can't do, so that it doesn't try; that it can't is the mount's work. */
#define ASK                                                                                        \
    "This is ask mode: answer the question. The directory that you start in is read-only: no "     \
    "file "                                                                                        \
    "in it can be made, changed or deleted, by any tool. Scratch files can go to /tmp."

static void add_outbox(struct buf *b, const char *outbox, uint64_t max_bytes)
{
    bool is_round = max_bytes >= 1 << 20;

    if (!outbox)
        return;
    buf_printf(b,
               "\n\nFiles for the people who write to you: save each in the directory %s, in any "
               "format. What lies there when you are done is sent along with your answer: ordinary "
               "files right in it, 10 of them at most, %llu %s each; no directories, no links and "
               "nothing empty. It is empty whenever you begin, and only an answer takes files "
               "along.",
               outbox, (unsigned long long)(is_round ? max_bytes >> 20 : max_bytes),
               is_round ? "MiB" : "bytes");
}

char *prompt_brief(const struct task *task, const char *outbox, uint64_t outbox_max_bytes)
{
    bool is_told = !str_is_empty(task->system_prompt);
    struct buf b = { 0 };

    buf_printf(&b, "%s%s" PLACE, is_told ? task->system_prompt : OURS, is_told ? "\n\n" : "");
    add_outbox(&b, outbox, outbox_max_bytes);
    if (task->mode == TASK_MODE_ASK)
        buf_append_str(&b, outbox ? "\n\n" ASK " Files for people can go to their directory."
                                  : "\n\n" ASK);
    return buf_steal(&b);
}

char *prompt_with_brief(const struct task *task, const struct attached *attached, bool begins,
                        const char *brief)
{
    AUTO_FREE char *text = prompt_text(task, attached, begins);

    if (begins)
        return mem_printf("# BEHAVIOR INSTRUCTIONS\n\n%s\n\n# USER MESSAGE\n\n%s", brief, text);
    if (task->mode == TASK_MODE_ASK)
        return mem_printf("[" ASK "]\n\n%s", text);
    return TAKE_PTR(text);
}

int prompt_check(const struct task *task, const struct attached *attached, const char *product,
                 struct err *err)
{
    bool is_blank = !task->prompt || task->prompt[strspn(task->prompt, " \t\r\n")] == '\0';

    if (is_blank && (!attached || attached->len == 0))
        return err_set(err, -EINVAL, "the message is empty, which %s doesn't take", product);
    return 0;
}
