/* attached.h - the files that come with a message: what its payload names, and where the task finds
 * each once it is there. Pure.
 * Source: Nairi messages, start_conversation_v1 and user_message_v1: attachments [{attachment_id}],
 * and the same in each of previous_messages. Untrusted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct err;

enum { ATTACHED_MAX = 100, ATTACHED_ID_MAX = 128 };

struct attached_item {
    char *id;       /* 1 to ATTACHED_ID_MAX printable ASCII characters without space and slash, and
                     * neither "." nor ".." */
    size_t earlier; /* of the message itself: 0; of the nth of previous_messages: n, from 1 */
    char *path;     /* where the task finds it; NULL: it isn't there yet */
};

/* { 0 } is an empty list. The message's own come first, then the earlier ones', each in order: so
 * an item's place is the same whenever the payload is read. */
struct attached {
    struct attached_item *items;
    size_t len;
};

/* payload: JSON text, NULL for none. with_earlier: those of previous_messages, too. -EINVAL with a
 * sentence for ids that can't be asked for, -E2BIG for more than ATTACHED_MAX. What can't be read
 * as JSON at all names none. */
int attached_parse(const char *payload, bool with_earlier, struct attached *ret_attached,
                   struct err *err);
void attached_done(struct attached *a);
