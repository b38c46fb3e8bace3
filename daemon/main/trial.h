/* trial.h - whether tasks can run here: by running one, which does nothing but look for the
 * runner's program from inside its sandbox. What `nairid check` calls the sandbox's test. */
#pragma once
#include "util/err.h"
#include <stdbool.h>
#include <stdint.h>

struct settings;

struct trial {
    bool sandbox_works;
    bool program_found;
    const char *program; /* borrowed from the settings; NULL: not known before there is a task */
    uint64_t wall_ms;
    struct err err; /* why the sandbox doesn't work */
};

/* Forks a spawner, so call it before any thread, and waits for it to be gone. */
void trial_run(const struct settings *s, struct trial *ret_trial);
