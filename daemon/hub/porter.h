/* porter.h - what is too long to be let in unseen: files that come and go, and long bodies.
 * Only who has a key writes to the disk, or has memory for a long body: a request for either is
 * held when its headers are here, until its key is known. Then files go to the depot and out of it,
 * so many at a time. */
#pragma once
#include "util/cleanup.h"
#include <stdint.h>

struct call;
struct depot;
struct porter;
struct route;
struct storage;

enum { PORTER_FILES_MAX = 64 /* uploads and downloads at a time; more are answered 503 */ };

struct porter_ops {
    /* All that the call brings is here: it is to be carried out. */
    void (*launch)(struct call *c, void *ctx);
    /* The call has been refused. */
    void (*answer)(struct call *c, void *ctx);
};

/* storage and depot are borrowed. attachment_max: bytes of an attachment. */
struct porter *porter_new(struct storage *storage, struct depot *depot, uint64_t attachment_max,
                          const struct porter_ops *ops, void *ctx);
/* Nothing more is launched: the storage goes. */
void porter_close(struct porter *p);
void porter_free(struct porter *p);
DEFINE_CLEANUP(struct porter *, porter_free);

/* How long the body of an upload may be, with the form around the file. */
uint64_t porter_upload_max(const struct porter *p, const struct route *route);
/* The call's request is held, and let in or refused. */
void porter_admit(struct porter *p, struct call *c);
/* Bytes of its body, and its end: for an upload, launched once its file is on the disk. */
void porter_take(struct call *c, const char *bytes, size_t len);
void porter_finish(struct call *c);
/* Answers with the file that the call came to. */
void porter_send(struct porter *p, struct call *c);
/* The call's request is over. */
void porter_release(struct porter *p, struct call *c);
