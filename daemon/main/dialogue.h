/* dialogue.h - one question over the public API, from the request to the printed reply: what
 * `nairid ask` does once it knows whom to ask. Runs a loop of its own. */
#pragma once
#include <stdbool.h>

struct clientenv;
struct keepsake;
struct luggage;

struct dialogue_options {
    const char *prompt;        /* NULL: wait for the answer to the conversation's last question */
    const char *job_id;        /* the conversation to go on with; NULL: a new one (needs prompt) */
    const char *agent_id;      /* of a new one */
    bool ask_mode;             /* of a new one */
    struct luggage *luggage;   /* what goes along with the prompt; NULL: nothing. Borrowed */
    struct keepsake *keepsake; /* where the answer's files go; NULL: nowhere. Borrowed */
    const char *save_dir;      /* its directory, as given */
    const char *state;         /* --state as given, for hints; NULL */
    const char *env_dir;       /* where CLIENTENV_FILE was read; NULL: it was the environment */
};

/* Returns the exit code: 0 answered, 1 failed or refused, 64, 69, 77, or 128 + n for a signal. The
 * reply alone goes to standard output. */
int dialogue_run(const struct clientenv *client, const struct dialogue_options *options);
