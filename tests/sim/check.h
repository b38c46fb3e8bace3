/* check.h - the invariants (numbered as in the design), each looked at where it could first be seen
 * broken, and once more when all is over. The first finding ends the schedule. */
#pragma once
#include "core/core.h"
#include <stdbool.h>
#include <stdint.h>

struct request;
struct side;
struct sim;

void check_fail(struct sim *sim, const struct side *side, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* of a daemon */
void check_options(struct side *side); /* at a start and after HUP: it has new ones */
void check_ordered(struct sim *sim, struct side *side,
                   uint64_t seq); /* the core wants it spawned */
void check_pace(struct sim *sim, struct side *side, const struct core_command *c);
void check_spawn(struct sim *sim, struct side *side, uint64_t seq);
void check_survey(struct sim *sim, struct side *side, uint32_t message); /* it begins */
/* The operator is about to give a word and waits for the answer: its number. job_id: of what is to
 * be stopped, or NULL. */
uint64_t check_word(struct side *side, const char *job_id);
void check_heeded(struct sim *sim, struct side *side, uint64_t word); /* and has the answer */
void check_answered(struct sim *sim, const struct side *side);        /* at the end of a turn */
void check_session(struct sim *sim, struct side *side, uint32_t message, const char *session);
void check_send(struct sim *sim, struct side *side, const struct request *r);
void check_complete(struct sim *sim, struct side *side, const struct request *r);
void check_bounds(struct sim *sim, struct side *side); /* after each turn */
void check_exit(struct sim *sim, struct side *side, int code);
/* The row as it was (NULL: none) and as it is now on the disk. */
void check_stored(struct sim *sim, struct side *side, const struct task *before,
                  const struct task *after);
/* of the server */
void check_accepted(struct sim *sim, const struct request *r, unsigned message);
void check_acked(struct sim *sim, const struct request *r, unsigned message);
/* of the whole: everything is answered, and all agree */
bool check_is_settled(const struct sim *sim);
void check_end(struct sim *sim);
