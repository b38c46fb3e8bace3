/* Whole lives of the core from a seed: one daemon or two of the same agent, disks that commit late,
 * a server with leases that loses answers, refuses replies and gives jobs to the other daemon,
 * tasks that end in every way, operators who stop, drain and cancel, and crashes between any two
 * commands. After each life every message has exactly one terminal reply (or the server refused it
 * for good), is acknowledged after it, and ran in the order of its job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/core.h"
#include "core/turn.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

enum {
    MESSAGES = 10,
    JOBS = 4,
    SIDES = 2,
    SEEDS = 3000,
    FAULTY_STEPS = 500, /* then everything must come to its end */
    STEPS_MAX = 20000,
    ATTEMPTS_MAX = 4,
    CONCURRENCY_MAX = 3,
    NOBODY = SIDES
};

/* ---- the server's side ---- */

enum taste { TASTE_FINE, TASTE_TOO_LARGE, TASTE_HUGE, TASTE_UNWANTED };
struct message {
    char id[16];
    unsigned job;
    enum taste taste; /* what it makes of the reply */
    unsigned replies; /* stored terminal replies: must become 1 */
    bool refused;     /* instead of that */
    bool acked;
    unsigned given; /* to which side */
};
struct conversation {
    char id[16];
    unsigned holder;
    uint64_t fence; /* 0 for ever where the server has no leases */
    bool cancel;
};

/* ---- a daemon's side ---- */

enum pending_kind { PENDING_POLL, PENDING_POST, PENDING_CHILD, PENDING_COMMIT };
struct pending {
    enum pending_kind kind;
    uint64_t seq;
    enum core_post post;
    uint64_t fence; /* POST: as it was sent */
    bool plain;     /* POLL */
    bool answered;  /* POLL: what follows is on its way back */
    unsigned listed;
    struct conversation as[JOBS];
    bool started, killed; /* CHILD */
    bool resumed, final;  /* CHILD: it was given a session; its result was taken note of */
};
struct row {
    bool used;
    struct task task;
};
/* What a journal holds. */
struct image {
    struct row rows[MESSAGES];
    char sessions[JOBS][8]; /* "": none */
};
struct side {
    struct core *core; /* NULL: stopped for good */
    struct turn *turn;
    struct core_options options;
    struct image disk, batch, writing; /* committed; with all turns */
    unsigned cuts[MESSAGES];           /* how often a crash found it running */
    uint64_t fences[MESSAGES];         /* known when its last attempt was ordered */
    struct pending pending[64];
    size_t pending_count;
    bool live;   /* its lease */
    bool asleep; /* the machine was suspended */
    bool listed; /* since the start it has heard what is its */
    bool asked_to_stop, exited;
};

struct life {
    uint64_t random;
    struct core_now now;
    struct message messages[MESSAGES];
    unsigned offered; /* messages that exist at the server so far */
    struct conversation jobs[JOBS];
    struct side sides[SIDES];
    unsigned count; /* of the sides */
    bool leases;
    bool calm;
    struct tally {
        unsigned crashes, faults, stops, losses, refusals, anew;
    } tally;
};

static uint32_t draw(struct life *l, uint32_t below)
{
    l->random = l->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(l->random >> 33) % below;
}

/* Of what goes wrong, so never in the end. */
static bool chance(struct life *l, uint32_t percent)
{
    return draw(l, 100) < percent && !l->calm;
}

static unsigned index_of(const char *id)
{
    return (unsigned)strtoul(id + 1, NULL, 10);
}

static struct conversation *job_of(struct life *l, unsigned message)
{
    return &l->jobs[l->messages[message].job];
}

static bool is_settled(const struct message *m)
{
    return m->replies > 0 || m->refused;
}

/* ---- the disk ---- */

static void write_row(struct life *l, struct side *s, const struct task *t)
{
    unsigned i = index_of(t->id);
    struct row *row = &s->batch.rows[i];

    if (t->state == TASK_FINISHED && t->reply && strstr(t->reply, "was interrupted"))
        assert_true(s->cuts[i] >= ATTEMPTS_MAX); /* a stop of ours costs no attempt */
    row->used = true;
    row->task = *t; /* only values and these are read back */
    row->task.id = row->task.ack_id = l->messages[i].id;
    row->task.job_id = job_of(l, i)->id;
}

static void store_session(struct side *s, const struct core_command *c)
{
    char *place = s->batch.sessions[index_of(c->job_id)];

    assert_true(c->session || place[0]);
    (void)snprintf(place, sizeof s->batch.sessions[0], "%s", c->session ? c->session : "");
}

static void store(struct life *l, struct side *s, const struct core_command *c)
{
    struct row *row = c->task ? &s->batch.rows[index_of(c->task->id)] : NULL;

    if (c->type == CORE_CMD_PURGE)
        return;
    if (c->type == CORE_CMD_SESSION) {
        store_session(s, c);
        return;
    }
    assert_int_equal(row->used,
                     c->type != CORE_CMD_INSERT); /* else the journal refuses the batch */
    if (c->type == CORE_CMD_DELETE)
        row->used = false;
    else
        write_row(l, s, c->task);
}

/* ---- commands ---- */

static struct pending *add_pending(struct side *s, enum pending_kind kind, uint64_t seq)
{
    struct pending *p = &s->pending[s->pending_count++];

    assert_true(s->pending_count < ARRAY_SIZE(s->pending));
    *p = (struct pending){ .kind = kind, .seq = seq };
    return p;
}

static void drop_pending(struct side *s, size_t i)
{
    s->pending[i] = s->pending[--s->pending_count];
}

static size_t find_pending(const struct side *s, enum pending_kind kind, uint64_t seq)
{
    size_t i = 0;

    while (i < s->pending_count &&
           (s->pending[i].kind != kind || (seq && s->pending[i].seq != seq)))
        i++;
    return i;
}

/* Invariants 2 and 3: one at a time in a job, none before an earlier one is over, and none that is
 * answered as far as this daemon could know. */
static void check_spawn(struct life *l, struct side *s, uint64_t seq)
{
    const struct task *t = core_task(s->core, seq);
    unsigned index = index_of(t->id), running = 0;
    const struct conversation *job = job_of(l, index);
    const char *session = core_session(s->core, seq);
    bool holds = s->fences[index] == job->fence && job->holder == (unsigned)(s - l->sides);

    assert_true(s->disk.rows[index].used); /* stored before it acts */
    assert_int_equal(s->disk.rows[index].task.state, TASK_RUNNING);
    assert_string_equal(session ? session : "", s->disk.sessions[l->messages[index].job]);
    for (size_t i = 0; i < s->pending_count; i++) {
        const struct task *other =
            s->pending[i].kind == PENDING_CHILD ? core_task(s->core, s->pending[i].seq) : NULL;

        running += other != NULL;
        assert_false(other && strcmp(other->job_id, t->job_id) == 0);
    }
    assert_true(running < CONCURRENCY_MAX);
    assert_true(s->listed || !l->leases);
    for (unsigned i = 0; i < index; i++)
        if (holds && l->messages[i].job == l->messages[index].job)
            assert_true(is_settled(&l->messages[i]) ||
                        (s->disk.rows[i].used && s->disk.rows[i].task.state >= TASK_FINISHED));
    if (holds)
        assert_false(is_settled(&l->messages[index]));
}

static void spawn(struct life *l, struct side *s, uint64_t seq)
{
    const struct ending ending = { .failed_to_start = true, .stderr_tail = "" };
    const struct core_event unstarted = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };
    struct core_commands commands = { 0 };

    if (core_may_spawn(s->core, seq)) {
        check_spawn(l, s, seq);
        add_pending(s, PENDING_CHILD, seq)->resumed = core_session(s->core, seq) != NULL;
        return;
    }
    core_handle(s->core, &unstarted, &l->now, &commands);
    for (size_t i = 0; i < commands.len; i++) {
        if (core_command_is_storing(commands.items[i].type))
            store(l, s, &commands.items[i]);
        turn_add(s->turn, &commands.items[i]);
    }
    core_commands_done(&commands);
}

static void act(struct life *l, struct side *s, const struct core_command *c)
{
    struct pending *p;
    size_t at;

    switch (c->type) {
    case CORE_CMD_SPAWN:
        spawn(l, s, c->seq);
        break;
    case CORE_CMD_KILL:
        at = find_pending(s, PENDING_CHILD, c->seq);
        if (at < s->pending_count)
            s->pending[at].killed = true;
        break;
    case CORE_CMD_POLL:
        assert_int_equal(find_pending(s, PENDING_POLL, 0), s->pending_count); /* one at a time */
        add_pending(s, PENDING_POLL, c->seq)->plain = c->wait_ms == 0;
        break;
    case CORE_CMD_POLL_CANCEL:
        at = find_pending(s, PENDING_POLL, 0);
        if (at < s->pending_count)
            drop_pending(s, at);
        break;
    case CORE_CMD_SEND:
        p = add_pending(s, PENDING_POST, c->seq);
        p->post = c->post;
        p->fence = core_fence(s->core, c->seq);
        break;
    case CORE_CMD_EXIT:
        /* 75 also where a task took too long to end: here nobody sees to that it does in time */
        assert_true(c->code == EX_NOPERM || c->code == EX_TEMPFAIL ||
                    (s->asked_to_stop && c->code == EX_OK));
        s->exited = true;
        break;
    case CORE_CMD_READY:
    case CORE_CMD_NOTE:
    case CORE_CMD_INSERT:
    case CORE_CMD_UPDATE:
    case CORE_CMD_DELETE:
    case CORE_CMD_PURGE:
    case CORE_CMD_SESSION:
        break;
    }
}

static void note_order(struct side *s, uint64_t seq)
{
    s->fences[index_of(core_task(s->core, seq)->id)] = core_fence(s->core, seq);
}

static void give(struct life *l, struct side *s, const struct core_event *ev)
{
    struct core_commands commands = { 0 };

    l->now.entropy = draw(l, UINT32_MAX);
    core_handle(s->core, ev, &l->now, &commands);
    for (size_t i = 0; i < commands.len; i++) {
        if (core_command_is_storing(commands.items[i].type))
            store(l, s, &commands.items[i]);
        if (commands.items[i].type == CORE_CMD_SPAWN)
            note_order(s, commands.items[i].seq);
        turn_add(s->turn, &commands.items[i]);
    }
    core_commands_done(&commands);
}

static void end_turn(struct life *l, struct side *s)
{
    struct core_command c;
    bool acted;

    do {
        acted = false;
        if (turn_end(s->turn)) {
            s->writing = s->batch;
            add_pending(s, PENDING_COMMIT, 0);
        }
        while (!s->exited && turn_take(s->turn, &c)) {
            act(l, s, &c);
            acted = true;
        }
    } while (acted);
}

/* ---- starts and ends ---- */

static struct task *restored(const struct task *from)
{
    struct task *t = task_new();

    *t = (struct task){ .seq = from->seq,
                        .fence = from->fence,
                        .attempt = from->attempt,
                        .reply_kind = from->reply_kind,
                        .shortened = from->shortened,
                        .cancelled = from->cancelled,
                        .anew = from->anew,
                        .id = mem_strdup(from->id),
                        .ack_id = mem_strdup(from->id),
                        .job_id = mem_strdup(from->job_id),
                        .reply = mem_strdup("r") };
    assert_int_equal(task_restore(t, task_state_name(from->state)), 0);
    return t;
}

/* From what the disk has, in order of seq, as store_load() gives it. */
static void start(struct life *l, struct side *s)
{
    const struct core_event ev = { .type = CORE_EV_START };
    uint64_t last = 0;

    for (unsigned i = 0; i < MESSAGES; i++)
        if (s->disk.rows[i].used && s->disk.rows[i].task.seq > last)
            last = s->disk.rows[i].task.seq;
    s->core = core_new(&s->options, last);
    s->turn = turn_new();
    for (uint64_t seq = 1; seq <= last; seq++)
        for (unsigned i = 0; i < MESSAGES; i++)
            if (s->disk.rows[i].used && s->disk.rows[i].task.seq == seq &&
                s->disk.rows[i].task.state != TASK_ACKED)
                core_restore(s->core, restored(&s->disk.rows[i].task));
    for (unsigned i = 0; i < MESSAGES; i++)
        if (s->disk.rows[i].used && s->disk.rows[i].task.state == TASK_ACKED)
            core_restore_tombstone(s->core, l->messages[i].id, s->disk.rows[i].task.updated_ms);
    for (unsigned j = 0; j < JOBS; j++)
        core_restore_session(s->core, l->jobs[j].id, s->options.runner, s->disk.sessions[j],
                             l->now.wall_ms);
    s->exited = s->asked_to_stop = s->listed = false;
    give(l, s, &ev);
    end_turn(l, s);
}

/* The batch on its way is on the disk (after an orderly end), or it may be; nothing else is. */
static void restart(struct life *l, struct side *s)
{
    size_t at = find_pending(s, PENDING_COMMIT, 0);

    if (at < s->pending_count && (s->exited || draw(l, 2) == 0))
        s->disk = s->writing;
    s->batch = s->disk;
    for (unsigned i = 0; i < MESSAGES; i++)
        s->cuts[i] += s->disk.rows[i].used && s->disk.rows[i].task.state == TASK_RUNNING;
    s->pending_count = 0;
    core_free(s->core);
    turn_free(s->turn);
    start(l, s);
}

static void meddle(struct life *l, struct side *s)
{
    static const enum core_event_type words[] = { CORE_EV_DRAIN, CORE_EV_TERM, CORE_EV_TERM,
                                                  CORE_EV_QUIT, CORE_EV_CANCEL };
    const struct core_event ev = { .type = words[draw(l, ARRAY_SIZE(words))],
                                   .job_id = l->jobs[draw(l, JOBS)].id };

    s->asked_to_stop = s->asked_to_stop || ev.type != CORE_EV_CANCEL;
    l->tally.stops++;
    give(l, s, &ev);
    if (draw(l, 4) == 0) {
        s->options.max_concurrency = 1 + draw(l, CONCURRENCY_MAX);
        s->options.max_queued = 1 + draw(l, 6);
        core_set_options(s->core, &s->options);
    }
}

/* ---- the server ---- */

static enum core_answer fault(struct life *l)
{
    static const enum core_answer faults[] = { CORE_ANSWER_DOWN,   CORE_ANSWER_DOWN,
                                               CORE_ANSWER_BUSY,   CORE_ANSWER_FAILED,
                                               CORE_ANSWER_FAILED, CORE_ANSWER_KEY_REFUSED };

    l->tally.faults++;
    return faults[draw(l, ARRAY_SIZE(faults))];
}

/* What the one before had is anybody's again, and what is answered needs nobody any more. */
static void take_job(struct life *l, unsigned job, unsigned side)
{
    struct conversation *c = &l->jobs[job];

    if (c->holder == side)
        return;
    l->tally.losses += c->holder != NOBODY;
    c->holder = side;
    c->fence += l->leases;
    for (unsigned i = 0; i < l->offered; i++) {
        if (l->messages[i].job != job)
            continue;
        l->messages[i].given = NOBODY;
        l->messages[i].acked = l->messages[i].acked || is_settled(&l->messages[i]);
    }
}

static void list(struct life *l, unsigned side, struct pending *p)
{
    bool shut[JOBS] = { false };

    for (unsigned i = 0; i < l->offered; i++) {
        struct message *m = &l->messages[i];
        struct conversation *job = &l->jobs[m->job];
        bool free = job->holder == side || job->holder == NOBODY || !l->sides[job->holder].live;

        shut[m->job] = shut[m->job] || !free;
        if (m->acked || shut[m->job] || (m->given == side && !p->plain))
            continue;
        take_job(l, m->job, side);
        if (m->acked)
            continue;
        m->given = side;
        p->listed |= 1u << i;
    }
    memcpy(p->as, l->jobs, sizeof p->as);
    p->answered = true;
}

static void deliver_listing(struct life *l, struct side *s, const struct pending *p)
{
    const struct core_event done = { .type = CORE_EV_POLLED, .seq = p->seq, .waited = !p->plain };

    s->listed = s->listed || p->plain;

    for (unsigned j = 0; j < JOBS; j++) {
        struct core_event ev = { .seq = p->seq,
                                 .job_id = p->as[j].id,
                                 .fence = p->as[j].fence,
                                 .cancel_requested = p->as[j].cancel };

        for (unsigned i = 0; i < MESSAGES; i++) {
            if (l->messages[i].job != j || !(p->listed & 1u << i))
                continue;
            ev.type = CORE_EV_MESSAGE;
            ev.task = task_new();
            ev.task->id = mem_strdup(l->messages[i].id);
            ev.task->ack_id = mem_strdup(l->messages[i].id);
            ev.task->job_id = mem_strdup(p->as[j].id);
            ev.task->fence = p->as[j].fence;
            give(l, s, &ev);
        }
        if (ev.type != CORE_EV_MESSAGE && p->as[j].holder != (unsigned)(s - l->sides))
            continue; /* not listed */
        ev.type = CORE_EV_JOB;
        give(l, s, &ev);
    }
    give(l, s, &done);
}

static void answer_poll(struct life *l, struct side *s, size_t at)
{
    struct pending *p = &s->pending[at], copy;
    struct core_event lost = { .type = CORE_EV_POLLED, .seq = p->seq };

    s->live = true;
    if (!p->answered) {
        if (l->offered < MESSAGES && draw(l, 100) < 60)
            l->offered += 1 + draw(l, MESSAGES - l->offered);
        if (chance(l, 5))
            l->jobs[draw(l, JOBS)].cancel = true;
        list(l, (unsigned)(s - l->sides), p);
        if (chance(l, 30))
            return; /* it travels for a while */
    }
    copy = *p;
    drop_pending(s, at);
    if (chance(l, 15)) {
        lost.answer = fault(l);
        give(l, s, &lost);
    } else {
        deliver_listing(l, s, &copy);
    }
}

static enum core_answer store_reply(struct life *l, struct message *m, const struct task *t)
{
    if (m->taste == TASTE_UNWANTED || (m->taste == TASTE_HUGE && t->shortened)) {
        l->tally.refusals += !m->refused;
        m->refused = true;
    }
    if (m->taste == TASTE_UNWANTED)
        return CORE_ANSWER_REFUSED;
    if (m->taste == TASTE_HUGE || (m->taste == TASTE_TOO_LARGE && !t->shortened))
        return CORE_ANSWER_TOO_LARGE;
    m->replies = 1;
    return CORE_ANSWER_OK;
}

static enum core_answer carry_out(struct life *l, struct side *s, const struct pending *p,
                                  const struct task *t)
{
    unsigned index = index_of(t->id);
    struct message *m = &l->messages[index];
    struct conversation *job = job_of(l, index);
    const struct row *row = &s->disk.rows[index];

    s->live = true;
    if (p->post == CORE_POST_REPLY) {
        assert_true(row->used && row->task.state >= TASK_FINISHED); /* stored before it is sent */
        if (m->replies > 0) /* the same id: answered and not stored, or by older servers refused */
            return l->leases || draw(l, 2) ? CORE_ANSWER_OK : CORE_ANSWER_CONFLICT;
    }
    if (p->post == CORE_POST_ACK && m->acked)
        return CORE_ANSWER_OK;
    if (p->fence != job->fence)
        return CORE_ANSWER_CONFLICT;
    if (p->post == CORE_POST_REPLY)
        return store_reply(l, m, t);
    if (p->post == CORE_POST_ACK) {
        assert_true(is_settled(m)); /* invariant 1: acknowledged only after the reply */
        m->acked = true;
    }
    return CORE_ANSWER_OK;
}

static void answer_post(struct life *l, struct side *s, const struct pending *p)
{
    struct core_event ev = { .type = CORE_EV_SENT, .seq = p->seq };
    const struct task *t = core_task(s->core, p->seq);

    assert_non_null(t); /* a post's message stays until the answer */
    if (chance(l, 12)) {
        ev.answer = fault(l);
    } else {
        ev.answer = carry_out(l, s, p, t);
        if (chance(l, 12)) /* the answer is lost */
            ev.answer = fault(l);
    }
    give(l, s, &ev);
}

/* ---- tasks ---- */

struct search {
    uint64_t seq;
    bool stopping;
};

static void look_at(const struct task *t, uint64_t started_ms, bool stopping, bool quarantined,
                    const struct progress *progress, void *ctx)
{
    struct search *search = ctx;

    (void)started_ms;
    (void)quarantined;
    (void)progress;
    if (t->seq == search->seq)
        search->stopping = stopping;
}

/* One of the things that a program prints. */
static void speak(struct life *l, struct side *s, struct pending *p)
{
    static const enum core_event_type words[] = { CORE_EV_PROGRESS, CORE_EV_PROGRESS,
                                                  CORE_EV_SESSION, CORE_EV_FINAL,
                                                  CORE_EV_OVERFLOW };
    const struct progress progress = { .text = "line" };
    struct search search = { .seq = p->seq };
    char session[8];
    const struct core_event ev = { .type = words[draw(l, ARRAY_SIZE(words))],
                                   .seq = p->seq,
                                   .progress = &progress,
                                   .session = session };

    (void)snprintf(session, sizeof session, "s%u", draw(l, 4));
    core_visit(s->core, look_at, &search);
    p->final = p->final || (ev.type == CORE_EV_FINAL && !search.stopping);
    give(l, s, &ev);
}

/* A result that was seen before anything ended the program is the answer. */
static void check_result(const struct side *s, uint64_t seq)
{
    const struct task *t = core_task(s->core, seq);

    if (t && t->state != TASK_GONE && !t->cancelled)
        assert_true(t->state == TASK_FINISHED && t->reply_kind == TASK_REPLY_ASSISTANT);
}

static void end_child(struct life *l, struct side *s, struct pending p)
{
    struct ending ending = { .ok = true, .text = "answer", .stderr_tail = "" };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = p.seq, .ending = &ending };
    uint32_t way = draw(l, 100);

    if (p.final) {
        ending.final = true;
        ending.status = way % 2 ? 15 : (int)way << 8;
    } else if (!p.started && way < 20) {
        ending = (struct ending){ .failed_to_start = true, .start_error = "no" };
    } else if (p.killed || way < 40) {
        ending = (struct ending){ .status = 15, .stderr_tail = "" };
    } else if (way < 80) { /* with a session or without one */
        ending = (struct ending){ .final = true, .session_gone = true, .stderr_tail = "" };
    }
    l->tally.anew += ending.session_gone && p.resumed;
    ending.stuck = chance(l, 1);
    give(l, s, &ev);
    if (p.final)
        check_result(s, p.seq);
}

static void turn_child(struct life *l, struct side *s, size_t at)
{
    struct pending *p = &s->pending[at], ended;
    const struct core_event began = { .type = CORE_EV_STARTED, .seq = p->seq };

    if (!p->started && !p->killed && draw(l, 100) < 80) {
        p->started = true;
        give(l, s, &began);
    } else if (draw(l, 100) < (p->started ? 50 : 10)) { /* it may overtake the start */
        speak(l, s, p);
    } else {
        ended = *p;
        drop_pending(s, at);
        end_child(l, s, ended);
    }
}

/* ---- time ---- */

static void pass_time(struct life *l, struct side *s)
{
    const struct core_event tick = { .type = CORE_EV_TICK };
    uint64_t deadline = core_deadline(s->core);

    if (deadline != UINT64_MAX && deadline > l->now.mono_ms) {
        l->now.wall_ms += (int64_t)(deadline - l->now.mono_ms);
        l->now.mono_ms = deadline;
    }
    give(l, s, &tick);
}

static void step(struct life *l, struct side *s)
{
    size_t i = s->pending_count > 0 ? draw(l, (uint32_t)s->pending_count) : 0;
    struct pending p;

    if (s->pending_count == 0 || draw(l, 100) < 15) {
        pass_time(l, s);
        return;
    }
    p = s->pending[i];
    if (p.kind == PENDING_CHILD) {
        turn_child(l, s, i);
    } else if (p.kind == PENDING_POLL) {
        answer_poll(l, s, i);
    } else if (p.kind == PENDING_POST) {
        drop_pending(s, i);
        answer_post(l, s, &p);
    } else {
        drop_pending(s, i);
        s->disk = s->writing;
        turn_committed(s->turn);
    }
}

static bool is_over(const struct life *l)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        if (!l->messages[i].acked)
            return false;
    return true;
}

/* Who says nothing for long loses its lease. In the end the first one is gone for good. */
static void sleep_or_wake(struct life *l)
{
    unsigned who = draw(l, l->count);

    for (unsigned i = 0; i < l->count; i++) {
        l->sides[i].asleep = l->count > 1 && (l->calm ? i == 0 : i == who && draw(l, 2));
        l->sides[i].live = l->sides[i].live && !l->sides[i].asleep;
    }
}

static const struct core_options usual = {
    .max_queued = 4,
    .max_attempts = ATTEMPTS_MAX,
    .poll_ms = 50000,
    .poll_interval_ms = 30000,
    .drain_timeout_ms = 300000,
    .task_timeout_ms = 3600000,
    .task_idle_timeout_ms = 600000,
    .reply_limit_bytes = 1 << 18,
    .journal_retention_s = 1 << 30,
    .workspace_retention_s = 1 << 30,
    .runner = "claude",
    .program = "worker",
};

static void be_born(struct life *l, uint64_t seed)
{
    l->random = seed * 2654435761u + 1;
    l->now = (struct core_now){ .mono_ms = 1000, .wall_ms = 1700000000000 };
    l->count = 1 + draw(l, SIDES);
    l->leases = l->count > 1 || draw(l, 2);
    for (unsigned j = 0; j < JOBS; j++) {
        l->jobs[j].holder = NOBODY;
        (void)snprintf(l->jobs[j].id, sizeof l->jobs[j].id, "j%u", j);
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct message *m = &l->messages[i];
        uint32_t taste = draw(l, 20);

        *m = (struct message){ .job = draw(l, JOBS), .given = NOBODY };
        m->taste = taste < 4 ? (enum taste)taste : TASTE_FINE;
        (void)snprintf(m->id, sizeof m->id, "m%02u", i);
    }
    for (unsigned n = 0; n < l->count; n++) {
        l->sides[n].options = usual;
        l->sides[n].options.max_concurrency = 1 + draw(l, CONCURRENCY_MAX);
        start(l, &l->sides[n]);
    }
}

static void live(uint64_t seed, struct tally *tally)
{
    struct life *l = mem_new(struct life);

    be_born(l, seed);
    for (unsigned n = 0; !is_over(l); n++) {
        struct side *s;

        l->calm = n >= FAULTY_STEPS;
        if (n > STEPS_MAX)
            fail_msg("seed %llu never comes to its end", (unsigned long long)seed);
        if (n % 40 == 0 || n == FAULTY_STEPS)
            sleep_or_wake(l);
        s = &l->sides[draw(l, l->count)];
        if (s->asleep)
            continue;
        if (s->exited || chance(l, 2)) {
            l->tally.crashes += !s->exited;
            restart(l, s);
            continue;
        }
        if (chance(l, 1))
            meddle(l, s);
        step(l, s);
        if (draw(l, 100) < 70) /* several events may share a turn */
            end_turn(l, s);
    }
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(l->messages[i].replies + l->messages[i].refused, 1);
    for (unsigned i = 0; i < sizeof *tally / sizeof(unsigned); i++)
        ((unsigned *)tally)[i] += ((const unsigned *)&l->tally)[i];
    for (unsigned n = 0; n < l->count; n++) {
        core_free(l->sides[n].core);
        turn_free(l->sides[n].turn);
    }
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
    struct tally sum = { 0 };

    (void)state;
    for (last_seed = 1; last_seed <= SEEDS; last_seed++)
        live(last_seed, &sum);
    print_message("%d lives: %u crashes, %u faults of the server, %u words of operators, %u jobs "
                  "taken over, %u replies refused, %u sessions gone\n",
                  SEEDS, sum.crashes, sum.faults, sum.stops, sum.losses, sum.refusals, sum.anew);
    assert_true(sum.crashes > SEEDS && sum.faults > SEEDS && sum.stops > SEEDS);
    assert_true(sum.losses > SEEDS / 10 && sum.refusals > SEEDS / 10 && sum.anew > SEEDS / 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_life_ends_with_one_reply_to_each_message, tell_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
