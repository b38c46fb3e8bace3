/* unpacker.h - runs the process that takes an archive apart (sandbox/unpack.h), one at a time. */
#pragma once
#include "spawner/spawner.h"
#include "util/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;
struct unpacker;

struct unpacker_ops {
    void (*output)(const char *bytes, size_t len, void *ctx); /* a piece of the crate */
    /* It is over. why->code 0: as it should be. -ENOEXEC: it couldn't be started, which is the
     * machine's trouble. -EAGAIN: it ended without a word, which may be the machine's or the
     * archive's fault. -EBADMSG: it took more than it may. */
    void (*ended)(const struct err *why, void *ctx);
};

/* d outlives it. */
struct unpacker *unpacker_new(struct daemon *d, const struct unpacker_ops *ops, void *ctx);
void unpacker_free(struct unpacker *u);
/* bytes: the archive, borrowed for the call. ended() may come before this returns. */
void unpacker_start(struct unpacker *u, const char *bytes, size_t len);
void unpacker_stop(struct unpacker *u); /* ended() comes once it is gone */

/* The spawner's words about tasks that are its own. */
bool unpacker_is_one(uint64_t task);
void unpacker_output(struct unpacker *u, const char *bytes, size_t len);
void unpacker_exited(struct unpacker *u, const struct spawner_exit *e);
