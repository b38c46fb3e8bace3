/* child.h - one program that is kept running: started, watched, started again with growing pauses.
 * It gets its own process group (a Ctrl-C at the terminal reaches us only), dies with us
 * (PR_SET_PDEATHSIG), inherits no descriptor but 0 to 2: /dev/null, a pipe to us or our stderr, our
 * stderr. Whether it is started again when it ends is the owner's decision. */
#pragma once
#include "util/cleanup.h"
#include "util/strv.h"
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct child;
struct err;
struct loop;

struct child_ops {
    /* What to run: argv[0] is a path, or a name to look up in PATH. Both lists are empty. */
    void (*prepare)(struct strv *argv, struct strv *env, void *ctx);
    /* A line of its standard output, without the newline. NULL: that goes to our stderr. */
    void (*line)(const char *line, void *ctx);
    /* It ended; status as from waitpid(2). May call child_start_later(). */
    void (*ended)(struct child *c, int status, void *ctx);
};

/* name: for sentences, as in "the hub". Not started yet. */
struct child *child_new(struct loop *loop, const char *name, const struct child_ops *ops,
                        void *ctx);
/* Starts it now. Negative errno with a sentence if it can't be executed. */
int child_start(struct child *c, struct err *err);
/* Starts it again after a pause, which grows while it keeps ending soon; returns the pause in ms.
 * A start that fails then counts as an end with status 127 << 8. */
uint32_t child_start_later(struct child *c);
bool child_is_alive(const struct child *c);
/* Sends signo, cancels a start that is due, and after kill_after_ms kills. Idempotent. */
void child_stop(struct child *c, int signo, uint32_t kill_after_ms);
const char *child_name(const struct child *c);
/* "exit status 3", "signal 9 (Killed)". Returns buffer. */
const char *child_status_text(char buffer[64], int status);
void child_free(struct child *c); /* kills it if it lives */

/* Runs a program to its end and collects its standard output: for short helpers, before the loop
 * runs. Blocks, at most timeout_ms. Returns the wait status, or negative errno with a sentence. */
int child_collect(const struct strv *argv, const struct strv *env, uint32_t timeout_ms,
                  struct buf *ret_output, struct err *err);
