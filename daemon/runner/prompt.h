/* prompt.h - what an agent reads as the user's words, and what it is told about its place. Pure.
 * Source: Nairi agents API, payload of start_conversation_v1 and user_message_v1: message,
 * sender_metadata {name, email, platform}, previous_messages [{message, attachments}],
 * system_prompt, mode; a block that names the attachments' files after the text of each. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct attached;
struct buf;
struct err;
struct task;

/* The message as the agent is to read it, to be freed by the caller: a line that says who sent it,
 * where the payload tells, and the message. begins: the agent doesn't know the conversation yet, so
 * that earlier messages of its thread, if the payload has any, stand before. attached: the files
 * that came with them, NULL for none; each is named after the text that it came with. Where the
 * payload can't be read, the message alone. */
char *prompt_text(const struct task *task, const struct attached *attached, bool begins);
/* Whether there is anything to read: -EINVAL with a sentence that product doesn't take such a
 * message. */
int prompt_check(const struct task *task, const struct attached *attached, const char *product,
                 struct err *err);
/* For programs that take no system prompt: both as one text, to be freed by the caller. Where a
 * conversation begins the brief stands before the message, each below a heading; later only what
 * ask mode changes is said again. Source: Nairi, CLI agents, "Common". */
char *prompt_with_brief(const struct task *task, const struct attached *attached, bool begins,
                        const char *brief);
/* Appends the block that names the files of the message itself, if there are any. */
void prompt_add_files(struct buf *b, const struct attached *attached);

/* What goes along as the system prompt, to be freed by the caller: the server's words or, where it
 * has none, ours; then what is true of every sandbox; where files for people go, outbox as the
 * program sees it (NULL: nowhere), and how large each may be; and of ask mode if it is that. */
char *prompt_brief(const struct task *task, const char *outbox, uint64_t outbox_max_bytes);
