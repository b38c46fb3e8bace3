/* Jobs that nobody writes to any more: when the server asks for them, each that has been unused for
 * long enough is reported complete. A job is known from the acknowledgement of its first message
 * on; what is known of it is apart from its messages, so that nothing here can overwrite theirs. */
#include "core/state.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"

static struct known *find(const struct core *core, const char *job_id)
{
    struct known *k = NULL;

    HASH_FIND(by_id, core->idle.by_id, job_id, strlen(job_id), k);
    return k;
}

static struct known *find_number(const struct core *core, uint64_t number)
{
    struct known *k = NULL;

    HASH_FIND(by_number, core->idle.by_number, &number, sizeof number, k);
    return k;
}

/* Whether something of the job is here that isn't acknowledged. */
static bool is_open(const struct core *core, const struct known *k)
{
    struct job *job = NULL;

    HASH_FIND_STR(core->jobs, k->job_id, job);
    return job != NULL;
}

static void store(struct core *core, const struct known *k)
{
    struct core_command *command = core_emit(core, CORE_CMD_JOB);

    command->job_id = k->job_id;
    command->wall_ms = k->used_ms;
    command->fence = k->fence;
    command->leaving = k->leaving;
}

static void set_leaving(struct core *core, struct known *k, bool leaving)
{
    if (k->leaving == leaving)
        return;
    k->leaving = leaving;
    k->retry_ms = 0;
    k->backoff.failures = 0;
    if (leaving)
        TAILQ_INSERT_TAIL(&core->idle.leaving, k, in_leaving);
    else
        TAILQ_REMOVE(&core->idle.leaving, k, in_leaving);
}

/* Out of the tables; commands may point at its id until the next event. */
static void drop(struct core *core, struct known *k)
{
    core->posts -= k->posting;
    core->aside.in_flight -= k->posting;
    set_leaving(core, k, false);
    HASH_DELETE(by_id, core->idle.by_id, k);
    HASH_DELETE(by_number, core->idle.by_number, k);
    SLIST_INSERT_HEAD(&core->idle.dead, k, dead);
}

static void forget(struct core *core, struct known *k)
{
    core_emit(core, CORE_CMD_FORGET_JOB)->job_id = k->job_id;
    drop(core, k);
}

static struct known *add(struct core *core, const char *job_id)
{
    struct known *k = mem_new(struct known);

    k->job_id = mem_strdup(job_id);
    k->number = ++core->idle.last_number;
    (void)backoff_init(&k->backoff, JOB_BASE_MS, JOB_CAP_MS); /* the bounds are constants */
    HASH_ADD_KEYPTR(by_id, core->idle.by_id, k->job_id, strlen(k->job_id), k);
    HASH_ADD(by_number, core->idle.by_number, number, sizeof k->number, k);
    return k;
}

void idle_init(struct core *core)
{
    TAILQ_INIT(&core->idle.leaving);
    SLIST_INIT(&core->idle.dead);
}

void idle_empty_graveyard(struct core *core)
{
    struct known *k;

    while ((k = SLIST_FIRST(&core->idle.dead)) != NULL) {
        SLIST_REMOVE_HEAD(&core->idle.dead, dead);
        free(k->job_id);
        free(k);
    }
}

void idle_done(struct core *core)
{
    struct known *k, *next;

    HASH_ITER (by_number, core->idle.by_number, k, next)
        drop(core, k);
    idle_empty_graveyard(core);
}

void idle_restore(struct core *core, const char *job_id, uint64_t fence, int64_t used_ms,
                  bool leaving)
{
    struct known *k = find(core, job_id) ? NULL : add(core, job_id);

    if (!k)
        return;
    k->fence = fence;
    k->used_ms = used_ms;
    set_leaving(core, k, leaving);
}

void idle_recover(struct core *core)
{
    struct known *k, *next;

    for (k = TAILQ_FIRST(&core->idle.leaving); k; k = next) {
        next = TAILQ_NEXT(k, in_leaving);
        if (is_open(core, k))
            idle_reopen(core, k->job_id);
    }
}

void idle_used(struct core *core, const struct job *job)
{
    struct known *k = find(core, job->id);

    if (!k && HASH_CNT(by_id, core->idle.by_id) >= KNOWN_MAX)
        forget(core, core->idle.by_id); /* the table keeps the order of arrival */
    if (!k)
        k = add(core, job->id);
    k->used_ms = core->now.wall_ms;
    k->used_mono_ms = core->now.mono_ms;
    k->fence = job->fence;
    store(core, k);
}

void idle_reopen(struct core *core, const char *job_id)
{
    struct known *k = find(core, job_id);

    if (!k || !k->leaving)
        return;
    set_leaving(core, k, false); /* what is on its way can't be called back */
    store(core, k);
}

void idle_forget(struct core *core, const char *job_id)
{
    struct known *k = find(core, job_id);

    if (k)
        forget(core, k);
}

/* By the wall clock, which counts what passed while we didn't run; but a clock that jumps makes no
 * job idle that was used a moment ago. */
static bool is_idle(const struct core *core, const struct known *k)
{
    uint64_t limit_ms = core->options.job_idle_ms;
    uint64_t least_ms = limit_ms < PURGE_MS ? limit_ms : PURGE_MS;

    if (k->leaving || is_open(core, k) || core->now.wall_ms - k->used_ms < (int64_t)limit_ms)
        return false;
    return k->used_mono_ms == 0 || core->now.mono_ms - k->used_mono_ms >= least_ms;
}

void idle_check(struct core *core)
{
    struct known *k, *next;
    size_t count = 0;

    if (core->phase.state != PHASE_SERVING || core->link.unsure)
        return;
    HASH_ITER (by_id, core->idle.by_id, k, next) {
        if (!is_idle(core, k))
            continue;
        core_note(core, LOG_INFO, "job_idle", 0,
                  "job %.64s is reported complete: nobody has written to it for long", k->job_id);
        set_leaving(core, k, true);
        store(core, k);
        if (++count >= LEAVING_MAX)
            return; /* the rest when it is asked for again */
    }
}

void idle_purge(struct core *core)
{
    int64_t keep_ms = (int64_t)core->options.job_idle_ms + KNOWN_MS;
    struct known *k, *next;
    size_t count = 0;

    HASH_ITER (by_id, core->idle.by_id, k, next) {
        if (k->leaving || k->posting || is_open(core, k) ||
            core->now.wall_ms - k->used_ms < keep_ms ||
            (k->used_mono_ms > 0 && core->now.mono_ms - k->used_mono_ms < PURGE_MS))
            continue;
        forget(core, k);
        if (++count >= SESSIONS_PURGE_MAX)
            return; /* the rest next time */
    }
}

static bool may_post(const struct core *core)
{
    return core->phase.state == PHASE_SERVING && core->posts < POSTS_MAX &&
           core->aside.in_flight < ASIDES_MAX && !TAILQ_EMPTY(&core->idle.leaving);
}

static uint64_t held_until(const struct core *core)
{
    uint64_t held = outbox_held_until(core), aside = outbox_aside_from(core);

    return held > aside ? held : aside;
}

void idle_pump(struct core *core)
{
    struct known *k;

    if (!may_post(core) || core->now.mono_ms < held_until(core))
        return;
    TAILQ_FOREACH (k, &core->idle.leaving, in_leaving) {
        if (!may_post(core))
            return;
        if (k->posting || core->now.mono_ms < k->retry_ms || is_open(core, k))
            continue;
        k->posting = true;
        core->posts++;
        core->aside.in_flight++;
        core_emit(core, CORE_CMD_COMPLETE)->seq = k->number;
    }
}

uint64_t idle_deadline(const struct core *core)
{
    uint64_t held = held_until(core), best = UINT64_MAX;
    const struct known *k;

    if (!may_post(core))
        return UINT64_MAX;
    TAILQ_FOREACH (k, &core->idle.leaving, in_leaving)
        if (!k->posting && k->retry_ms < best && !is_open(core, k))
            best = k->retry_ms;
    return best < held ? held : best;
}

void idle_completed(struct core *core, const struct core_event *ev)
{
    struct known *k = find_number(core, ev->seq);

    if (!k || !k->posting)
        return;
    k->posting = false;
    core->posts--;
    core->aside.in_flight--;
    outbox_judge(core, ev, true);
    if (outbox_is_final(ev->answer)) { /* told; or the job is unknown there, over, or another's */
        if (k->leaving)
            forget(core, k);
    } else if (ev->answer == CORE_ANSWER_FAILED) {
        k->retry_ms = core->now.mono_ms + backoff_next(&k->backoff, core->now.entropy, 0);
    }
}

const char *core_leaving(const struct core *core, uint64_t number, uint64_t *ret_fence,
                         int64_t *ret_used_ms)
{
    const struct known *k = find_number(core, number);

    if (!k || !k->leaving)
        return NULL;
    *ret_fence = k->fence;
    *ret_used_ms = k->used_ms;
    return k->job_id;
}
