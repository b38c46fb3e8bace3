/* call.h - one call of the API: what was asked, and what is answered.
 * Filled in on the loop (hub.c), carried out on the storage thread by its route's handler, answered
 * on the loop. A handler validates, works on the model, and answers with one of the call_reply
 * functions; it returns 0 then, also for a refusal (what it did to the database is discarded unless
 * the status is 2xx), or a negative errno if the database failed. It may be run again. */
#pragma once
#include "hub/key.h"
#include "hub/storage.h"
#include "util/buf.h"
#include "util/ulid.h"
#include <stdbool.h>
#include <stdint.h>

struct deposit;
struct deposit_file;
struct envoy;
struct json;
struct porter;
struct route;
struct server_request;
struct skillzip;

/* The agent whose key made a call of the agents API. */
struct call_agent {
    int64_t seq;
    char *slug;
};

/* The members of queries that handlers know. */
enum call_argument {
    CALL_BEFORE,
    CALL_STATUS,
    CALL_UPDATED_AFTER,
    CALL_SORT,
    CALL_LIMIT,
    CALL_OFFSET,
    CALL_ARGUMENT_COUNT
};

/* An attachment whose bytes go out in base64 as the last member, "data", of a 200's reply. */
struct call_file {
    char id[ULID_ID_MAX]; /* "": none */
    int64_t size;
};

/* Where the list that is answered goes on; limit 0: nowhere. */
struct call_more {
    int64_t limit, offset;
};

struct call_wake {
    int64_t agent;  /* 0: nobody, -1: everybody */
    char *instance; /* NULL: every instance of the agent */
};

struct call {
    struct storage_op op;           /* must be first */
    struct server_request *request; /* NULL: it is a realtime session's */
    struct envoy *envoy;            /* that session */
    const struct route *route;

    /* asked; constant once given to the storage */
    char *target; /* what stood for the {...} of the route's path, decoded; NULL if it has none */
    char *item;   /* for its second {...} */
    struct key_claim claim;
    char *body;
    size_t body_len;
    char *arguments[CALL_ARGUMENT_COUNT]; /* the query's, decoded, NULL if absent */
    char *agent_header;                   /* X-AGENT-ID, NULL if absent */
    char *instance_header;                /* X-CCAGENT-ID, NULL if absent */
    uint64_t fence;                       /* X-Nairi-Fence, 0 if absent */
    uint32_t wait_s;                      /* Prefer: wait=N, capped; 0 if absent */
    struct skillzip *skill;               /* what the archive that was uploaded says */
    const struct deposit_file *deposited; /* what was uploaded; borrowed from deposit */

    /* found out about the caller */
    struct call_agent agent;
    char *instance; /* X-CCAGENT-ID, or the key's id */

    /* answered */
    unsigned status;
    char *reply;        /* JSON text */
    uint64_t fence_out; /* X-Nairi-Fence, 0: not sent */
    struct call_wake wake;
    bool park;        /* nothing to say yet: wait for a wake */
    int64_t *granted; /* messages that this answer hands to the instance */
    size_t granted_count;
    bool check_idle;       /* this answer asks the instance for idle jobs; outlives a reset */
    bool cancels;          /* this answer tells the instance of requests to stop */
    struct call_file file; /* goes out with the reply */
    struct call_more more;
    char orphan[ULID_ID_MAX]; /* an attachment whose row is gone: its file is to follow; "": none */

    /* the loop's */
    uint64_t deadline_ms; /* end of the long poll */
    struct call *next;    /* among the parked */
    bool parked;
    bool woken;              /* run again after a wait */
    bool running;            /* given to the storage */
    bool closed;             /* the request is over: free when the storage gives it back */
    bool lost;               /* the client had left before the answer */
    struct porter *porter;   /* of what had to be let in */
    bool counted;            /* among the porter's files */
    struct deposit *deposit; /* of an upload that was let in, NULL: none */
};

/* Zeroed. What it points to is its own, but for route and request. */
struct call *call_new(void);
void call_free(struct call *c);
/* Forgets everything answered: before each run. */
void call_reset(struct call *c);

const char *call_argument_name(enum call_argument argument); /* "updated_after" */

/* Takes ownership of root. Returns 0. */
int call_reply(struct call *c, unsigned status, struct json *root);
/* 204, without a body. Returns 0. */
int call_done(struct call *c);
/* {"error": TEXT}. Returns 0. */
int call_refuse(struct call *c, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* {"error": TEXT} as an answer's body, for where there is no call. */
char *call_error_text(const char *text);
/* The body as a JSON object: 1; 0 if it was refused with 400. */
int call_parse_body(struct call *c, struct json **ret_root);
/* A new id with this prefix. */
void call_make_id(char id[ULID_ID_MAX], const char *prefix, const struct model *m);
void call_wake_agent(struct call *c, int64_t agent, const char *instance);
/* The database failed: logged, and refused with 500. */
void call_fail(struct call *c, int result);
/* After its key was looked up, with that result: whoever has one isn't turned out for others. */
void call_trust(const struct call *c, int result);
