/* landing.h - one attachment on its way to the disk: an answer of the server's that is read as it
 * comes, and a thread that writes what came, so that a slow disk stops neither the loop nor takes
 * memory: two buffers a file, and while both are full nothing is read. */
#pragma once
#include "upstream/upstream.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct landing;
struct landing_strip;
struct loop;

struct landing_end {
    enum upstream_verdict verdict; /* OK: it is there, under name. Else nothing of it is */
    int fault;                     /* errno of this machine's disk, negative; 0: it wasn't that */
    int status;                    /* of HTTP; 0: there was no answer */
    uint32_t retry_after_ms;
    const char *text; /* what was wrong */
    const char *name;
    uint64_t bytes;
};

struct landing_ops {
    /* So many bytes more have come. A negative errno: no more are wanted. Must not end anything. */
    int (*took)(size_t len, void *ctx);
    void (*moved)(void *ctx); /* some are written */
    /* Once; the landing is gone then. */
    void (*ended)(const struct landing_end *end, void *ctx);
};

struct landing_wish {
    const char *id;     /* of the attachment */
    uint64_t max_bytes; /* of it */
    uint32_t timeout_ms;
    int folder_fd; /* where it goes to, as its nth file; borrowed for the call */
    size_t n;
    uid_t uid; /* whose it is to be (workspace/enclosed.h) */
};

/* The thread is started with the first file. */
struct landing_strip *landing_strip_new(struct loop *loop, struct upstream *upstream);
void landing_strip_free(
    struct landing_strip *l); /* cancels all, and waits for what is being written */
/* NULL with a sentence where it can't even begin: *ret_fault is the errno. ops is borrowed. */
struct landing *landing_start(struct landing_strip *l, const struct landing_wish *wish,
                              const struct landing_ops *ops, void *ctx, int *ret_fault,
                              struct err *err);
void landing_cancel(struct landing *landing); /* ended is not called */
