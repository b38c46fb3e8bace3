#include "main/posts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "main/daemon.h"
#include "main/pushes.h"
#include "main/uploads.h"
#include "main/wire.h"
#include "upstream/envelope.h"
#include "upstream/upstream.h"
#include "util/clock.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"

enum {
    PROBLEMS_MAX = 256, /* distinct ones remembered, so that each is logged once */
    SKEW_MS = 5 * 60 * 1000
};

struct post {
    struct posts *owner;
    uint64_t seq; /* of the message; of a COMPLETE the number of the job */
    enum core_post what;
    struct upstream_call *call; /* NULL: it can't be cancelled */
    struct post *next, **place;
};

struct problem {
    UT_hash_handle hh;
    char text[];
};

struct posts {
    struct daemon *daemon;
    struct post *in_flight; /* only to free them at the end */
    struct problem *problems;
    uint64_t poll_seq; /* of the one in flight */
    bool skew_said;
    bool down; /* the last poll failed: say when it works again */
};

static const char *const post_names[] = {
    [CORE_POST_NONE] = "none",         [CORE_POST_PROCESSING] = "processing",
    [CORE_POST_PROGRESS] = "progress", [CORE_POST_UPLOAD] = "upload",
    [CORE_POST_REPLY] = "reply",       [CORE_POST_ACK] = "ack",
    [CORE_POST_COMPLETE] = "complete",
};
static_assert(ARRAY_SIZE(post_names) == CORE_POST_COUNT, "every post has a name");

struct posts *posts_new(struct daemon *d)
{
    struct posts *p = mem_new(struct posts);

    p->daemon = d;
    return p;
}

static void post_free(struct post *post)
{
    *post->place = post->next;
    if (post->next)
        post->next->place = post->place;
    free(post);
}

static struct post *post_new(struct posts *p, uint64_t seq, enum core_post what)
{
    struct post *post = mem_new(struct post);

    post->owner = p;
    post->seq = seq;
    post->what = what;
    post->next = p->in_flight;
    post->place = &p->in_flight;
    if (post->next)
        post->next->place = &post->next;
    p->in_flight = post;
    return post;
}

void posts_free(struct posts *p)
{
    struct problem *problem, *next;

    if (!p)
        return;
    while (p->in_flight)
        post_free(p->in_flight);
    HASH_ITER (hh, p->problems, problem, next) {
        HASH_DEL(p->problems, problem);
        free(problem);
    }
    free(p);
}

enum core_answer posts_answer(const struct upstream_answer *a)
{
    switch (a->verdict) {
    case UPSTREAM_OK:
        return CORE_ANSWER_OK;
    case UPSTREAM_REFUSED:
        return CORE_ANSWER_REFUSED;
    case UPSTREAM_TOO_LARGE:
        return CORE_ANSWER_TOO_LARGE;
    case UPSTREAM_CONFLICT:
        return CORE_ANSWER_CONFLICT;
    case UPSTREAM_KEY_REFUSED:
        return CORE_ANSWER_KEY_REFUSED;
    case UPSTREAM_BUSY:
        return CORE_ANSWER_BUSY;
    case UPSTREAM_FAILED:
        return CORE_ANSWER_FAILED;
    case UPSTREAM_DOWN:
        return CORE_ANSWER_DOWN;
    case UPSTREAM_VERDICT_COUNT:
        break;
    }
    return CORE_ANSWER_DOWN;
}

void posts_complain(struct posts *p, const char *text)
{
    size_t len = strlen(text);
    struct problem *problem = NULL, *oldest = p->problems;

    HASH_FIND_STR(p->problems, text, problem);
    if (problem)
        return;
    if (HASH_COUNT(p->problems) >= PROBLEMS_MAX) {
        HASH_DEL(p->problems, oldest);
        free(oldest);
    }
    problem = mem_alloc(sizeof *problem + len + 1);
    memcpy(problem->text, text, len + 1);
    HASH_ADD_KEYPTR(hh, p->problems, problem->text, len, problem);
    log_warning("message_skipped", "text", text);
}

static void log_skew(struct posts *p, int64_t skew_ms)
{
    char span[32];

    if (p->skew_said || (skew_ms < SKEW_MS && skew_ms > -SKEW_MS))
        return;
    p->skew_said = true;
    log_warning("clock_skew", "off_by",
                clock_span(span, (uint64_t)(skew_ms < 0 ? -skew_ms : skew_ms)), "text",
                skew_ms < 0 ? "this machine's clock is ahead of the server's"
                            : "this machine's clock is behind the server's");
}

static void deliver_listing(struct posts *p, struct listing *listing)
{
    for (size_t i = 0; i < listing->problem_count; i++)
        posts_complain(p, listing->problems[i].text);
    for (size_t i = 0; i < listing->job_count; i++) {
        struct listing_job *job = &listing->jobs[i];
        const struct core_event job_ev = { .type = CORE_EV_JOB,
                                           .seq = p->poll_seq,
                                           .job_id = job->id,
                                           .fence = job->fence,
                                           .cancel_requested = job->cancel_requested };

        for (size_t m = 0; m < job->message_count; m++) {
            const struct core_event ev = { .type = CORE_EV_MESSAGE,
                                           .seq = p->poll_seq,
                                           .task = listing_take(job, m),
                                           .cancel_requested = job->cancel_requested };

            wire_run(p->daemon, &ev);
        }
        wire_run(p->daemon, &job_ev);
    }
}

static void on_polled(const struct upstream_answer *answer, void *ctx)
{
    struct posts *p = ctx;
    const struct core_event ev = { .type = CORE_EV_POLLED,
                                   .seq = p->poll_seq,
                                   .answer = posts_answer(answer),
                                   .retry_after_ms = answer->retry_after_ms,
                                   .waited = answer->waited };
    const struct core_event idle_ev = { .type = CORE_EV_IDLE };
    bool idle = false;

    if (answer->verdict == UPSTREAM_OK) {
        log_skew(p, answer->clock_skew_ms);
        if (p->down)
            log_notice("poll_works_again");
        p->down = false;
        if (answer->listing)
            deliver_listing(p, answer->listing);
        idle = answer->listing && answer->listing->check_idle;
    } else {
        p->down = true;
        log_warning("poll_failed", "status", LOG_N_IF(answer->status != 0, answer->status), "text",
                    answer->text);
    }
    wire_run(p->daemon, &ev);
    if (idle)
        wire_run(p->daemon, &idle_ev);
}

void posts_poll(struct posts *p, uint64_t seq, uint32_t wait_ms)
{
    p->poll_seq = seq;
    upstream_poll(p->daemon->upstream, wait_ms, on_polled, p);
}

static void on_sent(const struct upstream_answer *answer, void *ctx)
{
    struct post *post = ctx;
    struct posts *p = post->owner;
    const struct task *t = core_task(p->daemon->core, post->seq);
    const struct core_event ev = { .type = CORE_EV_SENT,
                                   .seq = post->seq,
                                   .answer = posts_answer(answer),
                                   .retry_after_ms = answer->retry_after_ms };

    if (answer->verdict != UPSTREAM_OK)
        log_warning("post_failed", "post", post_names[post->what], "job", t ? t->job_id : NULL,
                    "message", t ? t->id : NULL, "status",
                    LOG_N_IF(answer->status != 0, answer->status), "text", answer->text);
    else if (post->what == CORE_POST_REPLY)
        log_info("reply_delivered", "job", t ? t->job_id : NULL, "message", t ? t->id : NULL,
                 "kind", t && t->reply_kind == TASK_REPLY_ERROR ? "error" : "assistant");
    post_free(post);
    wire_run(p->daemon, &ev);
}

/* fence: a server that gives one is ours, and knows what we add to the protocol. */
static char *envelope_for(const struct posts *p, const struct task *t, enum core_post what,
                          uint64_t fence)
{
    const struct usage *usage = t->has_usage && fence > 0 ? &t->usage : NULL;
    const struct progress *progress;
    uint32_t number;

    if (what == CORE_POST_PROCESSING)
        return t->state == TASK_RUNNING ? envelope_processing(t->job_id, t->id, t->attempt) : NULL;
    if (what == CORE_POST_REPLY)
        return t->state == TASK_FINISHED
                   ? envelope_reply(t->job_id, t->id, t->reply_kind, t->reply ? t->reply : "",
                                    usage, t->attachment_ids)
                   : NULL;
    progress = core_progress(p->daemon->core, t->seq, &number);
    return progress ? envelope_progress(t->job_id, t->id, t->attempt, number, progress) : NULL;
}

static void on_completed(const struct upstream_answer *answer, void *ctx)
{
    struct post *post = ctx;
    struct posts *p = post->owner;
    const struct core_event ev = { .type = CORE_EV_COMPLETED,
                                   .seq = post->seq,
                                   .answer = posts_answer(answer),
                                   .retry_after_ms = answer->retry_after_ms };
    uint64_t fence;
    int64_t used_ms;
    const char *job_id = core_leaving(p->daemon->core, post->seq, &fence, &used_ms);

    if (answer->verdict == UPSTREAM_OK)
        log_info("job_complete", "job", job_id);
    else
        log_warning("post_failed", "post", post_names[post->what], "job", job_id, "status",
                    LOG_N_IF(answer->status != 0, answer->status), "text", answer->text);
    post_free(post);
    wire_run(p->daemon, &ev);
}

void posts_complete(struct posts *p, uint64_t number)
{
    struct daemon *d = p->daemon;
    const struct core_event dropped = { .type = CORE_EV_COMPLETED,
                                        .seq = number,
                                        .answer = CORE_ANSWER_DROPPED };
    uint64_t fence;
    int64_t used_ms;
    const char *job_id = core_leaving(d->core, number, &fence, &used_ms);
    AUTO_FREE char *body = job_id ? envelope_complete(job_id, used_ms, ENVELOPE_INACTIVE) : NULL;

    if (body)
        (void)upstream_submit(d->upstream, body, fence, on_completed,
                              post_new(p, number, CORE_POST_COMPLETE));
    else
        wire_run(d, &dropped); /* there is a message again */
}

/* Whether it went by the realtime channel, so that no answer keeps the job's next post waiting. */
static bool said_at_once(const struct daemon *d, enum core_post what, const char *body)
{
    return what == CORE_POST_PROCESSING && body && pushes_say(d->pushes, body);
}

void posts_send(struct posts *p, uint64_t seq, enum core_post what)
{
    struct daemon *d = p->daemon;
    const struct core_event dropped = { .type = CORE_EV_SENT,
                                        .seq = seq,
                                        .answer = CORE_ANSWER_DROPPED };
    const struct task *t = core_task(d->core, seq);
    uint64_t fence = core_fence(d->core, seq);
    AUTO_FREE char *body = NULL;
    struct post *post;

    if (what == CORE_POST_UPLOAD) {
        uploads_send(d->uploads, seq, fence);
        return;
    }
    body = t && what != CORE_POST_ACK ? envelope_for(p, t, what, fence) : NULL;
    if (body) /* once more where it leaves: the journal may hold what an older mask let through */
        body = mask_text(d->mask, body);
    if (t && what == CORE_POST_ACK) {
        upstream_ack(d->upstream, t->ack_id, fence, on_sent, post_new(p, seq, what));
    } else if (body && !said_at_once(d, what, body)) {
        post = post_new(p, seq, what);
        post->call = upstream_submit(d->upstream, body, fence, on_sent, post);
    } else {
        wire_run(d, &dropped); /* or what it was about ended between the decision and now */
    }
}

void posts_send_cancel(struct posts *p, uint64_t seq)
{
    const struct core_event dropped = { .type = CORE_EV_SENT,
                                        .seq = seq,
                                        .answer = CORE_ANSWER_DROPPED };
    struct post *post = p->in_flight;

    while (post && (post->seq != seq ||
                    (post->what != CORE_POST_PROCESSING && post->what != CORE_POST_PROGRESS)))
        post = post->next;
    if (!post) /* it was answered meanwhile */
        return;
    log_warning("post_given_up", "post", post_names[post->what], "text",
                "the server does not answer it, and the reply is not to wait for that");
    upstream_cancel(post->call);
    post_free(post);
    wire_run(p->daemon, &dropped);
}
