/* policy.h - what the settings say about every task's sandbox, as a policy for sandbox/plan.h. */
#pragma once
#include "sandbox/plan.h"

struct buf;
struct err;
struct settings;

/* All that doesn't depend on the task: its directories, program and user (task_uid) are left. What
 * is in it is borrowed from the settings and from needs, an empty list that is filled with what the
 * runner has to reach. ground: of rung_check(); NULL where nothing is going to be started. */
struct plan_policy policy_of(const struct settings *s, const struct plan_ground *ground,
                             struct strv *needs);
/* The URL of the MCP gateway, where the runner can use its servers; NULL: there is none. Borrowed
 * from the settings. */
const char *policy_gateway(const struct settings *s);
/* Whether tasks can be planned with these settings, so that a wrong path stops the start and not
 * each task, nor show tasks what is the daemon's own (state, key, settings): -EINVAL with a
 * sentence. */
int policy_check(const struct settings *s, struct err *err);
/* Whether this machine has the paths that tasks are to be shown, and the program that they are to
 * run, as far as the host's own files tell: a trial (main/trial.h) tells for certain. -ENOENT with
 * a sentence. They look, and open nothing, so the confined daemon can ask, too. */
int policy_find_paths(const struct settings *s, struct err *err);
int policy_find_program(const struct settings *s, struct err *err);
/* The program that a task would start, as it is named; NULL where none is. Borrowed from the
 * settings or static. */
const char *policy_program(const struct settings *s);
/* The sentence for a program that no task would find. Returns -ENOENT. */
int policy_program_missing(const struct settings *s, struct err *err);
/* The host paths that a task is to see, read-only, on the runner's account: what it needs (may be
 * NULL), and where runner.program is. *word: the program's name in the arguments, allocated;
 * becomes the path that the sandbox has. *ret_read must be empty. -EINVAL with a sentence for a
 * path that would show what is the daemon's own. */
int policy_read(const struct settings *s, char **word, const struct strv *needs,
                struct strv *ret_read, struct err *err);
/* Adds the files among those that tasks see, and may read, in which command line programs keep a
 * login of their user. Only files at their usual places count: in a home, also one that was copied
 * to a path that is shown. */
void policy_find_logins(const struct settings *s, struct strv *found);
/* Those of places (entries of settings/allow.h) that tasks can't reach; appended to missing. */
void policy_find_missing(const struct settings *s, const struct strv *places, struct strv *missing);
/* The places that tasks may reach in network mode allowlist, with commas between; false in other
 * modes, or where nothing can be planned. */
bool policy_print_hosts(const struct settings *s, struct buf *b);
