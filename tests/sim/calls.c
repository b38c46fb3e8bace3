#include "sim/calls.h"

#include <stdio.h>
#include <string.h>

#include "sim/check.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "util/mem.h"

enum { WORD_IN_MS = 30 * 1000 };

void calls_poll(struct sim *sim, struct side *side, uint64_t seq, uint32_t wait_ms)
{
    const struct request r = {
        .side = side->number, .life = side->life, .seq = seq, .wait_ms = wait_ms
    };

    side->poll = seq;
    (void)network_send(sim, &r); /* the number is for who wants to drop one */
}

/* As envelope_for(): whether there is still something to be said. */
static bool has_body(const struct side *side, const struct task *t, enum core_post what)
{
    uint32_t number;

    switch (what) {
    case CORE_POST_PROCESSING:
        return t->state == TASK_RUNNING;
    case CORE_POST_UPLOAD:
        return t->state == TASK_FINISHED && t->unsent > 0;
    case CORE_POST_REPLY:
        return t->state == TASK_FINISHED;
    case CORE_POST_PROGRESS:
        return core_progress(side->core, t->seq, &number) != NULL;
    case CORE_POST_ACK:
        return true;
    case CORE_POST_NONE:
    case CORE_POST_COMPLETE:
    case CORE_POST_COUNT:
        break;
    }
    return false;
}

static void send(struct sim *sim, struct side *side, const struct task *t, enum core_post what,
                 bool stray)
{
    struct request r = { .side = side->number,
                         .life = side->life,
                         .seq = t->seq,
                         .post = what,
                         .message = server_message_of(what == CORE_POST_ACK ? t->ack_id : t->id),
                         .fence = core_fence(side->core, t->seq),
                         .stray = stray };

    if (what == CORE_POST_REPLY) {
        r.kind = t->reply_kind;
        r.text = mem_strdup(t->reply ? t->reply : "");
        r.shortened = t->shortened;
        r.ids = mem_strdup(t->attachment_ids);
    }
    if (what == CORE_POST_UPLOAD)
        parcels_send(sim, side, t, &r);
    if (!stray)
        check_send(sim, side, &r);
    (void)network_send(sim, &r); /* it takes the texts over */
}

void calls_send(struct sim *sim, struct side *side, uint64_t seq, enum core_post what)
{
    const struct core_event dropped = { .type = CORE_EV_SENT,
                                        .seq = seq,
                                        .answer = CORE_ANSWER_DROPPED };
    const struct task *t = core_task(side->core, seq);

    if (!t || !has_body(side, t, what)) {
        side_give(sim, side, &dropped);
        return;
    }
    if (sim->sabotage == SABOTAGE_ACK_FIRST && what == CORE_POST_REPLY)
        send(sim, side, t, CORE_POST_ACK, true);
    send(sim, side, t, what, false);
}

void calls_send_cancel(struct sim *sim, struct side *side, uint64_t seq)
{
    const struct core_event dropped = { .type = CORE_EV_SENT,
                                        .seq = seq,
                                        .answer = CORE_ANSWER_DROPPED };

    if (!network_drop_remark(sim, side, seq))
        return;
    sim->tally.given_up++;
    side_give(sim, side, &dropped);
}

void calls_complete(struct sim *sim, struct side *side, uint64_t number)
{
    const struct core_event dropped = { .type = CORE_EV_COMPLETED,
                                        .seq = number,
                                        .answer = CORE_ANSWER_DROPPED };
    struct request r = {
        .side = side->number, .life = side->life, .seq = number, .post = CORE_POST_COMPLETE
    };
    const char *job_id = core_leaving(side->core, number, &r.fence, &r.used_ms);

    if (!job_id) {
        side_give(sim, side, &dropped);
        return;
    }
    r.job = server_job_of(job_id);
    check_complete(sim, side, &r);
    (void)network_send(sim, &r); /* the number is for who wants to drop one */
}

/* ---- answers ---- */

struct search {
    const char *id;
    bool found;
};

static void compare(const struct task *t, uint64_t started_ms, bool stopping, bool quarantined,
                    const struct progress *progress, void *ctx)
{
    struct search *search = ctx;

    (void)started_ms;
    (void)stopping;
    (void)quarantined;
    (void)progress;
    search->found |= strcmp(t->id, search->id) == 0;
}

/* The id of a message that this daemon has had, made new: so that its core takes it again. */
static char *disguise(const struct side *side, uint32_t message, const char *id)
{
    struct search search = { .id = id };

    core_visit(side->core, compare, &search);
    if (!search.found && !side->disk.rows[message])
        return mem_strdup(id);
    return mem_printf("%s+%u", id, side->disguises);
}

struct task *calls_task(struct sim *sim, struct side *side, uint32_t message, uint64_t fence)
{
    const struct server_message *m = &sim->server.messages[message];
    struct task *t = task_new();

    side->disguises++;
    t->id = sim->sabotage == SABOTAGE_NO_DEDUP ? disguise(side, message, m->id) : mem_strdup(m->id);
    t->ack_id = mem_strdup(m->ack_id);
    t->job_id = mem_strdup(sim->server.jobs[m->job].id);
    t->prompt = mem_printf("prompt of %s", m->id);
    t->fence = fence;
    return t;
}

static void give_job(struct sim *sim, struct side *side, const struct request *r, uint32_t job)
{
    const struct listing *l = &r->answer.listing;
    struct core_event ev = { .type = CORE_EV_JOB,
                             .seq = r->seq,
                             .job_id = sim->server.jobs[job].id,
                             .fence = l->job[job].fence,
                             .cancel_requested = l->job[job].cancel_requested };
    struct core_event message = ev;

    message.type = CORE_EV_MESSAGE;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        if (sim->server.messages[i].job != job || !(l->messages & 1U << i))
            continue;
        message.task = calls_task(sim, side, i, l->job[job].fence);
        side_give(sim, side, &message);
    }
    side_give(sim, side, &ev);
}

static uint32_t first_message(const struct sim *sim, const struct listing *l, uint32_t job)
{
    uint32_t i = 0;

    while (i < MESSAGES && (sim->server.messages[i].job != job || !(l->messages & 1U << i)))
        i++;
    return i;
}

/* Jobs come in the order of their first messages, those without any at the end. */
static void give_listing(struct sim *sim, struct side *side, const struct request *r)
{
    const struct listing *l = &r->answer.listing;

    for (uint32_t i = 0; i <= MESSAGES; i++)
        for (uint32_t j = 0; j < JOBS; j++)
            if ((l->jobs & 1U << j) && first_message(sim, l, j) == i)
                give_job(sim, side, r, j);
}

static void polled(struct sim *sim, struct side *side, const struct request *r)
{
    const struct core_event ev = { .type = CORE_EV_POLLED,
                                   .seq = r->seq,
                                   .answer = r->answer.what,
                                   .retry_after_ms = r->answer.retry_after_ms,
                                   .waited = r->answer.waited };

    side->poll = 0;
    if (r->answer.what == CORE_ANSWER_OK) {
        give_listing(sim, side, r);
        side->was_listed = side->was_listed || r->wait_ms == 0;
        side->was_connected = true;
    }
    side->key_refusals = r->answer.what == CORE_ANSWER_KEY_REFUSED ? side->key_refusals + 1 : 0;
    side->keyless = side->keyless || side->key_refusals >= 2;
    if (side->key_refusals == 2) /* somebody looks after it */
        agenda_add(&sim->agenda,
                   (struct agenda_item){ .at_ms = sim->now_ms + draw_below(&sim->draw, WORD_IN_MS),
                                         .what = AGENDA_WORD,
                                         .side = side->number });
    side_give(sim, side, &ev);
    if (side->key_refusals == 2)
        feed_nudge(sim, side);
}

void calls_answered(struct sim *sim, struct side *side, const struct request *r)
{
    char id[FILE_ID_MAX], note[FILE_ID_MAX];
    struct core_event sent = { .type =
                                   r->post == CORE_POST_COMPLETE ? CORE_EV_COMPLETED : CORE_EV_SENT,
                               .seq = r->seq,
                               .answer = r->answer.what,
                               .retry_after_ms = r->answer.retry_after_ms,
                               .more = r->more };

    (void)snprintf(note, sizeof note, "- file %u of %u: why", r->file, r->tag);
    if (r->post == CORE_POST_UPLOAD && r->answer.what == CORE_ANSWER_OK &&
        !sim_mishap(sim, sim->schedule.bad_child / 8))
        sent.attachment_id = parcels_id(r, id);
    else if (r->post == CORE_POST_UPLOAD)
        sent.note = note; /* with ok: it can't be read */
    if (!side_is_up(side) || r->life != side->life)
        return;
    if (r->post == CORE_POST_NONE)
        polled(sim, side, r);
    else
        side_give(sim, side, &sent);
    side_settle(sim, side);
}
