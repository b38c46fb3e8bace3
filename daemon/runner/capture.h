/* capture.h - what one attempt printed: the runner's reading of its standard output, the end of its
 * standard error, and how much there was. Pure. Everything is bounded: past the output limit
 * bytes are counted and dropped, so that a flood costs no memory while the task is being ended. */
#pragma once
#include "runner/runner.h"
#include "util/cleanup.h"
#include <stdint.h>

struct capture;

/* runner is borrowed; of the settings and the session that is gone on with (NULL: none) what it
 * needs is copied. */
struct capture *capture_new(const struct runner *runner, const struct settings *settings,
                            const char *session);
void capture_free(struct capture *c);
DEFINE_CLEANUP(struct capture *, capture_free);

/* One piece of output, cut anywhere. Returns true once, when the two streams together pass
 * task.output_limit. */
bool capture_stdout(struct capture *c, const char *bytes, size_t len, runner_event_fn fn,
                    void *ctx);
bool capture_stderr(struct capture *c, const char *bytes, size_t len);

struct capture_result {
    struct runner_result result;
    char *stderr_tail; /* valid UTF-8, whole characters, "" when empty */
};
/* After the last piece. exit_ok: the program ended with status 0. */
void capture_finish(struct capture *c, bool exit_ok, struct capture_result *ret_result);
void capture_result_done(struct capture_result *r);
