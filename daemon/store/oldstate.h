/* oldstate.h - the state file of the daemon that we replace, as what the journal is to hold. It is
 * JSON that another program wrote: what can't be used is left out and counted.
 * - The instance id is gone on with, and so are the jobs' sessions, but for "unknown".
 * - What waited, and what a crash cut short, is a received message again. It runs in the mode that
 *   the file has for its job; where it has none, which is so for a conversation's first message, in
 *   mode ask, as nobody knows any more whether it may change anything. The file holds the text
 *   only: attachments, thread and sender are gone. What is older than a day isn't run; its reply
 *   says so.
 * - What was seen and is neither of that is remembered as answered, but for what waited and can't
 *   be taken over: the server may send it again.
 * Source: Nairi agents API, sections "State file", "Crash recovery". */
#pragma once
#include "util/ulid.h"
#include <stddef.h>
#include <stdint.h>

struct err;
struct store_batch;

enum {
    OLDSTATE_SIZE_MAX = 8 * 1024 * 1024,
    OLDSTATE_MESSAGES_MAX = 1000, /* that are taken over; the oldest */
    OLDSTATE_SEEN_MAX = 10000,
    OLDSTATE_SESSIONS_MAX = 5000,
    OLDSTATE_RUN_MS = 24 * 60 * 60 * 1000
};

struct oldstate {
    char instance_id[ULID_ID_MAX]; /* "": it has none that can be used */
    struct store_batch *batch;
    size_t sessions, waiting, expired, seen;
    size_t skipped; /* that can't be used, or are too many */
};

/* runner: whose sessions they are taken to be. -EBADMSG: no such file. */
int oldstate_read(const char *text, size_t len, const char *runner, int64_t now_ms,
                  struct oldstate *ret_state, struct err *err);
void oldstate_done(struct oldstate *s);
