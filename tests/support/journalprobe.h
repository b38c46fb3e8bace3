/* journalprobe.h - a store with a loop under it, driven one batch at a time. Only for tests that
 * link store/. A step that waits longer than PROBE_WAIT_MS fails the test. */
#pragma once
#include "store/store.h"
#include "util/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROBE_WAIT_MS = 60000, PROBE_ROWS_MAX = 20000, PROBE_SESSIONS_MAX = 16 };

struct probe_session {
    char *job_id, *runner, *session;
    int64_t updated_ms;
};

struct probe_job {
    char *job_id;
    uint64_t fence;
    int64_t used_ms;
    bool leaving;
};

struct journalprobe {
    struct loop *loop;
    struct loop_timer *guard;
    struct store *store;
    /* of journalprobe_load() */
    struct task *rows[PROBE_ROWS_MAX];
    size_t row_count;
    char *tombstones[PROBE_ROWS_MAX];
    int64_t acked_ms[PROBE_ROWS_MAX];
    size_t tombstone_count;
    struct probe_session sessions[PROBE_SESSIONS_MAX];
    size_t session_count;
    struct probe_job jobs[PROBE_SESSIONS_MAX];
    size_t job_count;
    /* of the batches */
    uint64_t last_done;
    size_t done_count;
    int result;
    struct err err; /* of the last batch */
    uint64_t wanted;
    /* of the disk's room, as the store tells it */
    bool tight;
    size_t room_changes;
    bool wants_room; /* stop the loop at the next change */
    bool timed_out;
};

/* Opens; on failure nothing is held. */
int journalprobe_open(struct journalprobe *p, const char *dir, struct err *err);
int journalprobe_load(struct journalprobe *p, struct err *err);
void journalprobe_start(struct journalprobe *p);
/* Opens, loads and starts; fails the test if one of these fails. */
void journalprobe_begin(struct journalprobe *p, const char *dir);
/* Runs the loop until the batch of that number is done. */
void journalprobe_wait(struct journalprobe *p, uint64_t batch_id);
/* Runs the loop until the store says that the disk is tight, or isn't. */
void journalprobe_wait_room(struct journalprobe *p, bool tight);
/* Submits and waits; the batch's result. */
int journalprobe_commit(struct journalprobe *p, struct store_batch *b);
const struct task *journalprobe_find(const struct journalprobe *p, const char *id);
void journalprobe_end(struct journalprobe *p);

/* A received message "msg_N" of job "job_A", with texts. To be freed. */
struct task *journalprobe_task(uint64_t seq);
