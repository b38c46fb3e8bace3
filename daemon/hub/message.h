/* message.h - the record of a message of a conversation, and how it is shown.
 * Source: Nairi public API, "Message object" and "Cost fields". Ours besides: processed_message_id
 * on what answers a message. */
#pragma once
#include "hub/status.h"
#include "util/ulid.h"
#include <stdbool.h>
#include <stdint.h>

struct attachment_list;
struct call;
struct db;
struct job;
struct model;

/* What every error reply begins with: it makes the message it answers fail. */
#define MESSAGE_ERROR_PREFIX "nairid encountered error: "

/* A user's message. */
struct message {
    int64_t seq;
    int64_t job;
    int64_t agent;
    char id[ULID_ID_MAX];
    enum status status;
    bool acked;
};

/* What to store. Texts are borrowed. */
struct message_new {
    const struct job *job;
    const char *role; /* "user", "assistant", "system", "progress" */
    enum status status;
    const char *type; /* role user: "start_conversation_v1" or "user_message_v1" */
    const char *content;
    int64_t reply_to;     /* the message it belongs to, 0: none */
    const char *envelope; /* the daemon's id, NULL: none */
    const char *extra;    /* a JSON object whose members are shown beside the others; or NULL */
    const struct attachment_list *attachments; /* NULL: none */
    const char *subject; /* role progress: what of the turn it is about; NULL: it stands alone */
};

/* ret_id: ULID_ID_MAX bytes. Where a row of the same subject answers the same message already, that
 * one is updated in place instead: it keeps its id and its place in the list. */
int message_insert(struct model *m, const struct message_new *what, char *ret_id);
/* A user's message: 1, 0 if there is none, or a negative errno. */
int message_find(struct db *db, const char *id, struct message *ret_message);
int message_move(struct model *m, struct message *msg, enum status_event event);
/* The hub itself ends an open message: an error reply with this text after the prefix. It is then
 * never handed out again. */
int message_give_up(struct model *m, struct job *j, struct message *msg, const char *text);
/* The first open message of the job after that one (0: from the beginning): 1, 0, or a negative
 * errno. */
int message_next_open(struct db *db, int64_t job, int64_t after, struct message *ret_message);

/* Handlers: GET /messages/{id}, GET /conversations/{id}/messages. A list holds the newest
 * MESSAGE_LIST_MAX messages of together MESSAGE_LIST_BYTES_MAX (one alone may be longer); where
 * there are older ones the answer says "more": true, and ?before=ID asks for those before that
 * message. Both are ours: Nairi's list is described without a bound. */
enum { MESSAGE_LIST_MAX = 1000, MESSAGE_LIST_BYTES_MAX = 8 << 20 };
int message_get(struct call *c, struct model *m);
int message_list(struct call *c, struct model *m);
