/* plan_ours.h - what the plans of our own processes have in common: no program, no network, nothing
 * to write but a pipe, and a user of its own. For plan_survey.c and plan_unpack.c. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct plan;
struct plan_ground;

/* A plan without places, rules and a directory: those are the caller's to add. name: for messages,
 * and argv[0]. uid: the daemon's own; task_uid: whose it runs as where uid is root's. Freed with
 * plan_free(). */
struct plan *plan_ours_new(const struct plan_ground *ground, const char *name, uid_t uid,
                           uid_t task_uid, uint64_t memory_bytes, uint32_t files);
