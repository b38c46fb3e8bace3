/* queue.h - which message runs next: in order within a job, in parallel between jobs, oldest first.
 * Pure. Holds borrowed tasks; a job occupies one slot from queue_next() to queue_release(). Of all
 * jobs that wait and have nothing running, the one whose first message came earliest goes first; a
 * job's later messages came later, so no job can starve another. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;
struct task;

/* slots: how many jobs may run at once, > 0. */
struct queue *queue_new(uint32_t slots);
void queue_free(struct queue *q);
/* A smaller number takes effect as running jobs end. */
void queue_set_slots(struct queue *q, uint32_t slots);

/* Adds a message by its seq: one that was released goes back before the later ones of its job. */
void queue_add(struct queue *q, struct task *t);
/* Takes a waiting message out. Returns whether it was there. */
bool queue_remove(struct queue *q, struct task *t);
/* The next message to run, whose job is busy from now on; NULL when nothing may start. */
struct task *queue_next(struct queue *q);
/* The job is busy from now on, with no message of its own being taken, whether or not there is a
 * slot. False: it is already, or quarantined. */
bool queue_occupy(struct queue *q, const char *job_id);
/* The job's running message is over: its slot is free and its next message may run. */
void queue_release(struct queue *q, const char *job_id);
/* The job never runs again, and the slot that it holds stays taken: processes of its last message
 * could not be killed. Its waiting messages are handed out by queue_pop_quarantined(). */
void queue_quarantine(struct queue *q, const char *job_id);
bool queue_is_quarantined(const struct queue *q, const char *job_id);
struct task *queue_pop_quarantined(struct queue *q, const char *job_id);

size_t queue_waiting(const struct queue *q); /* messages */
uint32_t queue_busy(const struct queue *q);  /* slots taken */
