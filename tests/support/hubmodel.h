/* hubmodel.h - a model of the hub with a database of its own, a clock that the test moves, and
 * calls made without HTTP. */
#pragma once
#include "hub/call.h"
#include "hub/storage.h"
#include <stdbool.h>
#include <stdint.h>

struct cipher;
struct json;

struct hubmodel {
    struct model model;
    char *dir;
    char *path;
    struct cipher *cipher;
    int64_t agent; /* of the slug "tester" */
};

/* For cmocka's setup and teardown: *state is the struct hubmodel *. The time of grace is over. */
int hubmodel_setup(void **state);
int hubmodel_teardown(void **state);
/* As a new start of the hub finds it, at now_ms. */
void hubmodel_restart(struct hubmodel *f);
void hubmodel_pass_ms(struct hubmodel *f, uint64_t ms);
/* Carries out what the hub does when leases end. */
void hubmodel_sweep(struct hubmodel *f);

/* One call of a handler inside a transaction, kept if the status is 2xx. body may be NULL. */
struct hubmodel_call {
    int (*handler)(struct call *c, struct model *m);
    const char *target;
    const char *item;
    const char *body;
    const char *before;
    const char *instance; /* an agents call by this instance, which renews its lease */
    uint64_t fence;
    uint32_t wait_s;
};
/* The answered call; free it with call_free(). */
struct call *hubmodel_run(struct hubmodel *f, const struct hubmodel_call *what);
/* As above, but only the status. */
unsigned hubmodel_status(struct hubmodel *f, const struct hubmodel_call *what);

/* Starts a conversation of that prompt. Ids: ULID_ID_MAX bytes; job may be NULL. */
void hubmodel_start(struct hubmodel *f, const char *prompt, char *ret_job, char *ret_message);
void hubmodel_continue(struct hubmodel *f, const char *job, const char *prompt, char *ret_message);
/* A poll by that instance: the ids of the listed messages, each followed by a space. To be freed.
 * ret_fence: of the first job, 0 if there is none; may be NULL. */
char *hubmodel_poll(struct hubmodel *f, const char *instance, uint32_t wait_s, int64_t *ret_fence);
/* An assistant message, or for text with the error prefix a system message. The status. */
unsigned hubmodel_reply(struct hubmodel *f, const char *instance, uint64_t fence,
                        const char *message, const char *text);
unsigned hubmodel_ack(struct hubmodel *f, const char *instance, uint64_t fence,
                      const char *message);
/* The status of a message: "queued" etc. To be freed. */
char *hubmodel_message_status(struct hubmodel *f, const char *message);
