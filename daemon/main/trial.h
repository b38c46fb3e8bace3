/* trial.h - whether tasks can run here: by running one, which does nothing but look for the
 * runner's program from inside its sandbox, and maybe ask it for its version. What `nairid check`
 * calls the sandbox's test, and `run` does before it takes its first message. */
#pragma once
#include "util/err.h"
#include <stdbool.h>
#include <stdint.h>

struct plan_ground;
struct settings;

enum { TRIAL_SAID_MAX = 400 };

struct trial {
    bool sandbox_works;
    bool program_found;
    bool program_works;  /* it told its version, if it was asked for it */
    bool program_is_own; /* each task looks for it in its own workspace */
    const char *program; /* borrowed from the settings; NULL: not known before there is a task */
    char said[TRIAL_SAID_MAX + 1]; /* its version in its words, or why it doesn't tell; "" */
    uint64_t wall_ms;
    char unlimited[ERR_TEXT_MAX]; /* as spawner_unlimited() has it, or "" */
    struct err err;               /* why the sandbox doesn't work */
};

/* ground: of rung_check(). version_option: the argument with which the program says which one it
 * is; NULL: it isn't executed, only looked for. dir: one of ours, in which the task's workspace is
 * made and removed again. Forks a spawner, so call it before any thread, and waits for it to be
 * gone. */
void trial_run(const struct settings *s, const struct plan_ground *ground, const char *dir,
               const char *version_option, struct trial *ret_trial);
/* Removes the workspaces of trials in dir that were cut short. Only where nobody else tries. */
void trial_tidy(const char *dir);
/* What it came to for the daemon: 0, or a negative errno with a sentence. */
int trial_verdict(const struct settings *s, const struct trial *t, struct err *err);
/* The exit code of a daemon whose trial came to less than 0. What may pass by itself, such as a
 * machine that is too busy or short of something, is no reason to stay down. */
int trial_exitcode(const struct trial *t);
