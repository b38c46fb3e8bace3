/* attachment.h - the records of attachments, and who may see them. The files themselves lie in the
 * depot.
 * A hub serves one organisation, so its keys see every attachment; an agent sees what it uploaded
 * itself, what is attached to a message of one of its conversations, and the files of its skills.
 * An upload that nothing refers to is removed after a time; the others stay. Source: Nairi public
 * API, "Attachments"; agents API, endpoints 4 and 5. */
#pragma once
#include "hub/clockstep.h"
#include "hub/storage.h"
#include "util/ulid.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct db;
struct deposit_file;
struct json;
struct model;

#define ATTACHMENT_PREFIX "att"

enum { ATTACHMENT_LIST_MAX = 10 }; /* of one message */

/* Handlers. POST /api/public/v1/attachments and POST /api/agents/attachments: multipart/form-data
 * with a part "file" -> 201 {"attachment_id"}. c->deposited says what came; the row is made here.
 */
int attachment_create(struct call *c, struct model *m);
int attachment_submit(struct call *c, struct model *m);
/* GET /api/public/v1/attachments/{id} -> 200 {"id","filename","data"}, GET
 * /api/agents/attachments/{id} -> 200 {"id","data"}, by way of configuration_file(). data is
 * base64, and added as the answer goes out: c->file says of which file. */
int attachment_get(struct call *c, struct model *m);
int attachment_fetch(struct call *c, struct model *m);
/* DELETE /api/public/v1/attachments/{id} -> 204 (ours). Messages name it no longer. */
int attachment_delete(struct call *c, struct model *m);

/* The row of what was deposited; agent: who uploaded it, 0 for the organisation. */
int attachment_insert(struct model *m, const struct deposit_file *file, int64_t agent);

/* Whether the calling agent may upload more bytes beside what it has uploaded; anybody else may. 1,
 * or 0 and c is refused with 413, or a negative errno. */
int attachment_check_room(struct call *c, struct model *m, int64_t more);
/* The attachment that is the file of this skill, unless a message has it too: its row goes now, the
 * file (c->orphan) once that is on disk. 1 or a negative errno. */
int attachment_disown(struct call *c, struct model *m, const char *skill);

/* What a message brings with it. */
struct attachment_list {
    size_t count;
    int64_t seqs[ATTACHMENT_LIST_MAX];
};

/* The member "attachment_ids" of object (absent or null: none), whose attachments must exist, and
 * where agent isn't 0 be visible to that one. 1, or 0 and c is refused with 400, or a negative
 * errno. */
int attachment_take(struct call *c, struct model *m, const struct json *object, int64_t agent,
                    struct attachment_list *ret_list);
/* Ties them to the message, which is new. */
int attachment_link(struct model *m, int64_t message, const struct attachment_list *list);

/* An SQL expression: the ids of the attachments of the message whose seq the expression SEQ is,
 * separated by spaces; NULL if there are none. */
#define ATTACHMENT_IDS(SEQ)                                                                        \
    "(SELECT group_concat(id, ' ') FROM (SELECT a.id FROM message_attachments x"                   \
    " JOIN attachments a ON a.seq = x.attachment WHERE x.message = " SEQ " ORDER BY x.place))"
/* What that gave as ["att_...", ...] under "attachment_ids"; nothing for NULL. */
void attachment_show_ids(struct json *object, const char *ids);
/* The same as [{"attachment_id": "att_..."}, ...] under "attachments": the agents' form. */
void attachment_show_objects(struct json *object, const char *ids);

/* 1 if no row has that id, 0, or a negative errno. */
int attachment_is_orphan(struct db *db, const char *id);

enum { ATTACHMENT_SWEEP_MAX = 100 };

/* Forgets uploads that are older than keep_ms and that nothing refers to: at most
 * ATTACHMENT_SWEEP_MAX of them. Their files are to be removed after that. What the machine's clock
 * is set forward by makes none older (clockstep.h). */
struct attachment_sweep {
    struct storage_op op; /* must be first; run and kept are set by attachment_sweep_init() */
    int64_t keep_ms;
    struct clockstep *clock; /* of the sweep before; noted once this one is kept */
    size_t count;
    char ids[ATTACHMENT_SWEEP_MAX][ULID_ID_MAX];
};
void attachment_sweep_init(struct attachment_sweep *sweep, uint64_t keep_ms,
                           struct clockstep *clock);
