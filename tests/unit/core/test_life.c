/* Whole lives of the core from a seed: a disk that commits late, a server that loses answers, tasks
 * that end in every way, and crashes between any two commands. After each life every message has
 * exactly one terminal reply, is acknowledged after it, and ran in the order of its job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "core/turn.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

enum { MESSAGES = 12, JOBS = 4, SEEDS = 3000, STEPS_MAX = 20000, ROWS_MAX = 64 };

/* The server's side of a message. */
struct message {
    char id[16], job[16];
    unsigned replies; /* stored terminal replies: must become 1 */
    bool acked;
    bool cancelled;
};

/* A row as the disk has it. */
struct row {
    bool used;
    struct task task;
};

enum pending_kind { PENDING_POLL, PENDING_POST, PENDING_CHILD, PENDING_COMMIT };
struct pending {
    enum pending_kind kind;
    uint64_t seq;
    enum core_post post;
    unsigned listed; /* POLL: a bit for each message that was open when it was asked */
    bool started;    /* CHILD */
    bool killed;
};

struct life {
    uint64_t random;
    struct core *core;
    struct turn *turn;
    struct core_now now;
    struct message messages[MESSAGES];
    unsigned offered;                           /* messages that exist at the server so far */
    struct row disk[ROWS_MAX], batch[ROWS_MAX]; /* committed; and with all turns so far */
    struct row writing[ROWS_MAX];
    struct pending pending[64];
    size_t pending_count;
    unsigned crashes, faults;
    bool exited; /* of its own will: it starts again, as after a crash */
    bool calm;   /* no more faults: everything must come to its end */
};

static uint32_t draw(struct life *l, uint32_t below)
{
    l->random = l->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(l->random >> 33) % below;
}

static bool chance(struct life *l, uint32_t percent)
{
    return draw(l, 100) < percent;
}

/* ---- the disk ---- */

static struct row *row_of(struct row rows[ROWS_MAX], const char *id)
{
    for (size_t i = 0; i < ROWS_MAX; i++)
        if (rows[i].used && strcmp(rows[i].task.id, id) == 0)
            return &rows[i];
    return NULL;
}

static char *intern(struct life *l, const char *id, bool job)
{
    for (size_t i = 0; i < MESSAGES; i++)
        if (strcmp(l->messages[i].id, id) == 0)
            return job ? l->messages[i].job : l->messages[i].id;
    fail();
    return NULL;
}

static void write_row(struct life *l, const struct task *t)
{
    struct row *row = row_of(l->batch, t->id);

    for (size_t i = 0; !row && i < ROWS_MAX; i++)
        row = l->batch[i].used ? NULL : &l->batch[i];
    assert_non_null(row);
    row->used = true;
    row->task = *t; /* only values and what intern() gives are read back */
    row->task.id = row->task.ack_id = intern(l, t->id, false);
    row->task.job_id = intern(l, t->id, true);
}

static void store(struct life *l, const struct core_command *c)
{
    if (c->type == CORE_CMD_INSERT || c->type == CORE_CMD_UPDATE)
        write_row(l, c->task);
    else if (c->type == CORE_CMD_DELETE)
        row_of(l->batch, c->task->id)->used = false;
}

/* ---- the world ---- */

static struct pending *add_pending(struct life *l, enum pending_kind kind, uint64_t seq)
{
    struct pending *p = &l->pending[l->pending_count++];

    assert_true(l->pending_count < ARRAY_SIZE(l->pending));
    *p = (struct pending){ .kind = kind, .seq = seq };
    return p;
}

static void drop_pending(struct life *l, size_t i)
{
    l->pending[i] = l->pending[--l->pending_count];
}

static void drop_polls(struct life *l)
{
    for (size_t i = l->pending_count; i-- > 0;)
        if (l->pending[i].kind == PENDING_POLL)
            drop_pending(l, i);
}

/* Invariant 3: one at a time in a job, and none before an earlier one is over. */
static void check_spawn(struct life *l, uint64_t seq)
{
    const struct task *t = core_task(l->core, seq);
    const struct row *row = row_of(l->disk, t->id);

    assert_non_null(row); /* stored before it acts */
    assert_int_equal(row->task.state, TASK_RUNNING);
    for (size_t i = 0; i < l->pending_count; i++) {
        const struct task *other =
            l->pending[i].kind == PENDING_CHILD ? core_task(l->core, l->pending[i].seq) : NULL;

        assert_false(other && strcmp(other->job_id, t->job_id) == 0);
    }
    for (size_t i = 0; i < MESSAGES; i++) {
        const struct row *earlier = row_of(l->disk, l->messages[i].id);

        if (strcmp(l->messages[i].id, t->id) == 0) {
            assert_int_equal(l->messages[i].replies, 0); /* invariant 2 */
            break;
        }
        if (strcmp(l->messages[i].job, t->job_id) == 0)
            assert_true(earlier && earlier->task.state >= TASK_FINISHED);
    }
}

static unsigned open_messages(const struct life *l)
{
    unsigned open = 0;

    for (unsigned i = 0; i < l->offered; i++)
        open |= l->messages[i].acked ? 0 : 1u << i;
    return open;
}

static void act(struct life *l, const struct core_command *c)
{
    switch (c->type) {
    case CORE_CMD_SPAWN:
        check_spawn(l, c->seq);
        add_pending(l, PENDING_CHILD, c->seq);
        break;
    case CORE_CMD_KILL:
        for (size_t i = 0; i < l->pending_count; i++)
            if (l->pending[i].kind == PENDING_CHILD && l->pending[i].seq == c->seq)
                l->pending[i].killed = true;
        break;
    case CORE_CMD_POLL:
        for (size_t i = 0; i < l->pending_count; i++)
            assert_int_not_equal(l->pending[i].kind, PENDING_POLL); /* one poll at a time */
        add_pending(l, PENDING_POLL, c->seq)->listed = open_messages(l);
        break;
    case CORE_CMD_POLL_CANCEL:
        drop_polls(l);
        break;
    case CORE_CMD_SEND:
        add_pending(l, PENDING_POST, c->seq)->post = c->post;
        break;
    case CORE_CMD_EXIT:
        l->exited = true;
        break;
    case CORE_CMD_READY:
    case CORE_CMD_NOTE:
    case CORE_CMD_INSERT:
    case CORE_CMD_UPDATE:
    case CORE_CMD_DELETE:
    case CORE_CMD_PURGE:
        break;
    }
}

static void give(struct life *l, const struct core_event *ev)
{
    struct core_commands commands = { 0 };

    l->now.entropy = draw(l, UINT32_MAX);
    core_handle(l->core, ev, &l->now, &commands);
    for (size_t i = 0; i < commands.len; i++) {
        if (core_command_is_storing(commands.items[i].type))
            store(l, &commands.items[i]);
        turn_add(l->turn, &commands.items[i]);
    }
    core_commands_done(&commands);
}

static void end_turn(struct life *l)
{
    struct core_command c;

    if (turn_end(l->turn)) {
        memcpy(l->writing, l->batch, sizeof l->writing);
        add_pending(l, PENDING_COMMIT, 0);
    }
    while (turn_take(l->turn, &c))
        act(l, &c);
}

static const struct core_options options = {
    .max_concurrency = 3,
    .max_queued = 5,
    .max_attempts = 1000000,
    .poll_ms = 50000,
    .poll_interval_ms = 30000,
    .drain_timeout_ms = 300000,
    .task_timeout_ms = 3600000,
    .task_idle_timeout_ms = 600000,
    .reply_limit_bytes = 1 << 18,
    .journal_retention_s = 1 << 30,
    .program = "worker",
};

/* From what the disk has, in order of seq, as store_load() gives it. */
static void start(struct life *l)
{
    const struct core_event ev = { .type = CORE_EV_START };
    uint64_t last = 0, next;

    for (size_t i = 0; i < ROWS_MAX; i++)
        if (l->disk[i].used && l->disk[i].task.seq > last)
            last = l->disk[i].task.seq;
    l->core = core_new(&options, last);
    l->turn = turn_new();
    for (uint64_t seq = 1; seq <= last; seq = next) {
        next = seq + 1;
        for (size_t i = 0; i < ROWS_MAX; i++) {
            const struct task *from = &l->disk[i].task;
            struct task *t;

            if (!l->disk[i].used || from->seq != seq)
                continue;
            if (from->state == TASK_ACKED) {
                core_restore_tombstone(l->core, from->id, from->updated_ms);
                continue;
            }
            t = task_new();
            *t = (struct task){ .seq = from->seq,
                                .attempt = from->attempt,
                                .reply_kind = from->reply_kind,
                                .cancelled = from->cancelled,
                                .id = mem_strdup(from->id),
                                .ack_id = mem_strdup(from->id),
                                .job_id = mem_strdup(from->job_id),
                                .reply = mem_strdup("r") };
            assert_int_equal(task_restore(t, task_state_name(from->state)), 0);
            core_restore(l->core, t);
        }
    }
    give(l, &ev);
    end_turn(l);
}

/* The batch on its way is on the disk or it is not; nothing else survives. */
static void crash(struct life *l)
{
    for (size_t i = 0; i < l->pending_count; i++)
        if (l->pending[i].kind == PENDING_COMMIT && chance(l, 50))
            memcpy(l->disk, l->writing, sizeof l->disk);
    memcpy(l->batch, l->disk, sizeof l->batch);
    l->pending_count = 0;
    l->exited = false;
    core_free(l->core);
    turn_free(l->turn);
    l->crashes++;
    start(l);
}

static enum core_answer fault(struct life *l)
{
    static const enum core_answer faults[] = { CORE_ANSWER_DOWN, CORE_ANSWER_BUSY,
                                               CORE_ANSWER_FAILED };

    l->faults++;
    return faults[draw(l, ARRAY_SIZE(faults))];
}

/* The answer may have been made when the question came: then it lists what is acked by now. */
static void answer_poll(struct life *l, const struct pending *p)
{
    struct core_event done = { .type = CORE_EV_POLLED, .seq = p->seq, .waited = true };
    bool stale = !l->calm && chance(l, 30);

    if (!l->calm && chance(l, 20)) {
        done.answer = fault(l);
        give(l, &done);
        return;
    }
    if (l->offered < MESSAGES && chance(l, 60))
        l->offered += 1 + draw(l, MESSAGES - l->offered);
    for (unsigned i = 0; i < l->offered; i++) {
        struct message *m = &l->messages[i];
        struct core_event ev = { .type = CORE_EV_MESSAGE, .seq = p->seq };

        if (stale ? !(p->listed & 1u << i) : m->acked)
            continue;
        ev.task = task_new();
        ev.task->id = mem_strdup(m->id);
        ev.task->ack_id = mem_strdup(m->id);
        ev.task->job_id = mem_strdup(m->job);
        give(l, &ev);
        if (m->replies == 0 && (m->cancelled || (!l->calm && chance(l, 2)))) {
            const struct core_event cancel = {
                .type = CORE_EV_JOB, .seq = p->seq, .job_id = m->job, .cancel_requested = true
            };

            m->cancelled = true;
            give(l, &cancel);
        }
    }
    give(l, &done);
}

static void answer_post(struct life *l, const struct pending *p)
{
    struct core_event ev = { .type = CORE_EV_SENT, .seq = p->seq };
    const struct task *t = core_task(l->core, p->seq);
    struct message *m = NULL;
    bool lost_before = !l->calm && chance(l, 15), lost_after = !l->calm && chance(l, 15);

    for (unsigned i = 0; t && i < MESSAGES; i++)
        if (strcmp(l->messages[i].id, t->id) == 0)
            m = &l->messages[i];
    assert_non_null(m); /* a post's message stays until the answer */
    if (!lost_before && p->post == CORE_POST_REPLY) {
        const struct row *row = row_of(l->disk, m->id);

        assert_true(row && row->task.state >= TASK_FINISHED); /* stored before it is sent */
        m->replies = 1; /* a second one with the same id is answered and not stored */
    }
    if (!lost_before && p->post == CORE_POST_ACK) {
        assert_int_equal(m->replies, 1); /* invariant 1: acknowledged only after the reply */
        m->acked = true;
    }
    ev.answer = lost_before || lost_after ? fault(l) : CORE_ANSWER_OK;
    give(l, &ev);
}

static void turn_child(struct life *l, size_t i)
{
    struct pending *p = &l->pending[i];
    const struct task *t = core_task(l->core, p->seq);
    const struct row *row = row_of(l->disk, t->id);
    struct ending ending = { .ok = true, .text = "answer", .stderr_tail = "" };
    struct core_event ev = { .type = CORE_EV_STARTED, .seq = p->seq };

    assert_true(row && row->task.state < TASK_FINISHED); /* invariant 2: no reply, then a run */
    if (!p->started && !p->killed && chance(l, 80)) {
        p->started = true;
        give(l, &ev);
        return;
    }
    if (!p->started && chance(l, 20))
        ending = (struct ending){ .failed_to_start = true, .start_error = "no" };
    else if (p->killed || chance(l, 20))
        ending = (struct ending){ .status = 15, .stderr_tail = "" };
    ev.type = CORE_EV_ENDED;
    ev.ending = &ending;
    drop_pending(l, i);
    give(l, &ev);
}

static void step(struct life *l)
{
    size_t i = l->pending_count > 0 ? draw(l, (uint32_t)l->pending_count) : 0;
    struct pending p = l->pending_count > 0 ? l->pending[i] : (struct pending){ 0 };
    const struct core_event tick = { .type = CORE_EV_TICK };

    if (l->pending_count == 0 || chance(l, 15)) {
        uint64_t deadline = core_deadline(l->core);

        if (deadline != UINT64_MAX && deadline > l->now.mono_ms) {
            l->now.wall_ms += (int64_t)(deadline - l->now.mono_ms);
            l->now.mono_ms = deadline;
        }
        give(l, &tick);
        return;
    }
    if (p.kind == PENDING_CHILD) {
        turn_child(l, i);
        return;
    }
    drop_pending(l, i);
    if (p.kind == PENDING_POLL) {
        answer_poll(l, &p);
    } else if (p.kind == PENDING_POST) {
        answer_post(l, &p);
    } else {
        memcpy(l->disk, l->writing, sizeof l->disk);
        turn_committed(l->turn);
    }
}

static bool is_over(const struct life *l)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        if (!l->messages[i].acked)
            return false;
    return true;
}

static void live(uint64_t seed, unsigned *crashes, unsigned *faults)
{
    struct life *l = mem_new(struct life);

    l->random = seed * 2654435761u + 1;
    l->now = (struct core_now){ .mono_ms = 1000, .wall_ms = 1700000000000 };
    for (unsigned i = 0; i < MESSAGES; i++) {
        (void)snprintf(l->messages[i].id, sizeof l->messages[i].id, "m%02u", i);
        (void)snprintf(l->messages[i].job, sizeof l->messages[i].job, "j%u", draw(l, JOBS));
    }
    start(l);
    for (unsigned n = 0; !is_over(l); n++) {
        l->calm = n > 400;
        if (n > STEPS_MAX)
            fail_msg("seed %llu never comes to its end", (unsigned long long)seed);
        if (l->exited || (!l->calm && chance(l, 3))) {
            crash(l);
            continue;
        }
        step(l);
        if (chance(l, 70)) /* several events may share a turn */
            end_turn(l);
    }
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(l->messages[i].replies, 1);
    *crashes += l->crashes;
    *faults += l->faults;
    core_free(l->core);
    turn_free(l->turn);
    free(l);
}

static uint64_t last_seed; /* for the teardown, which a failed assertion still reaches */

static int tell_seed(void **state)
{
    (void)state;
    if (last_seed <= SEEDS)
        print_message("the life of seed %llu went wrong\n", (unsigned long long)last_seed);
    return 0;
}

static void every_life_ends_with_one_reply_to_each_message(void **state)
{
    unsigned crashes = 0, faults = 0;

    (void)state;
    for (last_seed = 1; last_seed <= SEEDS; last_seed++)
        live(last_seed, &crashes, &faults);
    print_message("%d lives, %u crashes, %u faults of the server\n", SEEDS, crashes, faults);
    assert_true(crashes > SEEDS && faults > SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_life_ends_with_one_reply_to_each_message, tell_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
