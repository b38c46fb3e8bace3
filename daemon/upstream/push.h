/* push.h - an envelope that came by the realtime channel, checked and made ours. Pure.
 * Source: Nairi messages, "Envelope and identifiers", "Server to agent". Our hub adds a member
 * "job", with what a poll says of the job: {"mode","system_prompt","fence","cancel_requested"}.
 * The checks are those of upstream/listing.h. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct task;

struct push {
    struct task *task; /* owned; NULL: no message */
    /* Whether it says all that a poll would: what a follow-up from another server than our hub may
     * do (its mode) only a poll says. */
    bool whole;
    bool check_idle;   /* check_idle_jobs_v1; there is no task then, nor a poll */
    bool unknown;      /* of a type that we don't know: nor then, and problem says it of the type */
    char problem[256]; /* why there is no task, for the log; "" where that is no problem */
};

/* text: the envelope as JSON. */
void push_parse(const char *text, size_t len, struct push *ret_push);
