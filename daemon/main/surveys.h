/* surveys.h - the shell side of looking at what a task left: a survey (sandbox/survey.h) as a task
 * of the spawner's, what it found against what was known of the job, and the words for it.
 * What is known is kept beside the job's directories (main/knowledge.h) and only changed
 * once the reply that tells of it is on disk: after a crash it is told again, and never left out.
 */
#pragma once
#include "spawner/spawner.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;
struct err;
struct surveys;

/* d outlives it. */
struct surveys *surveys_new(struct daemon *d);
/* Before the first of what follows; once the daemon is confined, as it starts a thread. */
int surveys_open(struct surveys *s, struct err *err);
void surveys_free(struct surveys *s); /* finishes what was to be kept */
/* CORE_CMD_SURVEY: a CORE_EV_SURVEYED follows, whatever comes of it. */
void surveys_start(struct surveys *s, uint64_t seq);
/* CORE_CMD_KILL, if it is for one. */
void surveys_kill(struct surveys *s, uint64_t seq);
/* CORE_CMD_SETTLE. */
void surveys_settle(struct surveys *s, uint64_t seq, bool keep);
/* Whether the job's directories must stay what they are for something that is being kept. */
bool surveys_concern(const struct surveys *s, const char *job_id);
/* The spawner's words about task numbers that are surveys'. */
bool surveys_is_one(uint64_t task);
void surveys_output(struct surveys *s, uint64_t task, const char *bytes, size_t len);
void surveys_exited(struct surveys *s, uint64_t task, const struct spawner_exit *e);
