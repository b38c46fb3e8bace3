/* surveys.h - the shell side of looking at what a task left: a survey (sandbox/survey.h) as a task
 * of the spawner's, what it found against what was known of the job, and the words for it.
 * What is known is kept beside the job's directories (workspace_write_known()) and only changed
 * once the reply that tells of it is on disk: after a crash it is told again, and never left out.
 */
#pragma once
#include "spawner/spawner.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;
struct surveys;

/* d outlives it. */
struct surveys *surveys_new(struct daemon *d);
void surveys_free(struct surveys *s);
/* CORE_CMD_SURVEY: a CORE_EV_SURVEYED follows, whatever comes of it. */
void surveys_start(struct surveys *s, uint64_t seq);
/* CORE_CMD_KILL, if it is for one. */
void surveys_kill(struct surveys *s, uint64_t seq);
/* CORE_CMD_SETTLE. */
void surveys_settle(struct surveys *s, uint64_t seq, bool keep);
/* The spawner's words about task numbers that are surveys'. */
bool surveys_is_one(uint64_t task);
void surveys_output(struct surveys *s, uint64_t task, const char *bytes, size_t len);
void surveys_exited(struct surveys *s, uint64_t task, const struct spawner_exit *e);
