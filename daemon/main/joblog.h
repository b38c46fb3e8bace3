/* joblog.h - the latest lines of the log that name a job, kept for `nairid logs JOB`: at most
 * JOBLOG_MAX_BYTES of them, the oldest forgotten first. What was logged is all it knows: no line
 * below log.level, and secrets are masked already. Lines may come from any thread. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct joblog;

enum { JOBLOG_MAX_BYTES = 512 * 1024 };

typedef void (*joblog_fn)(const char *line, void *ctx);

struct joblog *joblog_new(void);
void joblog_free(struct joblog *l);
DEFINE_CLEANUP(struct joblog *, joblog_free);
/* A log_tap_fn; ctx is the joblog. */
void joblog_add(const char *job_id, const char *line, void *ctx);
/* The job's lines, the oldest first. fn must not log. Returns how many; whether any line, of
 * whatever job, has been forgotten by now goes to *ret_forgot. */
size_t joblog_visit(struct joblog *l, const char *job_id, joblog_fn fn, void *ctx,
                    bool *ret_forgot);
