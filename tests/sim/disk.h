/* disk.h - a daemon's journal: rows, and the batch on its way to them. Batches are those of the
 * real store, so a row changes by exactly what an update carries. */
#pragma once
#include "sim/schedule.h"
#include "task/task.h"
#include <stdbool.h>
#include <stdint.h>

struct core;
struct core_command;
struct side;
struct sim;
struct store_batch;

enum { SESSION_MAX = 24, ANSWER_MAX = 64 };

/* What the journal went through with one message; starts anew when its row is deleted. */
struct history {
    uint32_t cuts;             /* how often a crash found it running */
    uint32_t real_cuts;        /* and its program had been started */
    bool spawned;              /* by the attempt of its row */
    bool stopped;              /* it was told to stop, at somebody's word */
    bool answered;             /* a reply of it was on the disk */
    uint32_t anew;             /* how often it was begun anew without its session */
    char unlooked[ANSWER_MAX]; /* the answer of its attempt, until what that left was looked at */
    char *reply;               /* the last one; owned */
    char left_by[ANSWER_MAX];  /* the answer of the last attempt that left files for people */
    uint32_t left_tag, left;   /* which and how many these are */
};

/* What is known of a job. */
struct disk_job {
    bool known, leaving;
    uint64_t fence;
    int64_t used_ms;
};

struct disk {
    struct task *rows[MESSAGES]; /* owned; NULL: none */
    struct history history[MESSAGES];
    struct store_batch *writing;      /* NULL: none on its way */
    uint64_t max_seq;                 /* over all rows ever */
    char sessions[JOBS][SESSION_MAX]; /* "": none */
    int64_t session_ms[JOBS];         /* wall time of their last use */
    uint32_t session_ages[JOBS];      /* the order in which they were put there */
    uint32_t session_count;
    struct disk_job jobs[JOBS];
    uint64_t full_until_ms;
    bool tight; /* the reserve is given up */
};

/* A storing command into the batch that gathers. */
void disk_gather(struct side *side, const struct core_command *c);
/* The batch on its way is durable, or lost. */
void disk_commit(struct sim *sim, struct side *side);
void disk_lose(struct disk *d);
/* As store_load() does. */
void disk_load(const struct disk *d, struct core *core);
void disk_done(struct disk *d);
