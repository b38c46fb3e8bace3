/* Polls, and how long to leave a failing server alone. */
#include "core/state.h"

#include "util/log.h"

void link_init(struct core *core)
{
    struct link *l = &core->link;

    /* the bounds are constants, so none of the calls can fail */
    (void)backoff_init(&l->backoff, LINK_BASE_MS, LINK_CAP_MS);
    (void)backoff_init(&l->idle, IDLE_BASE_MS, IDLE_CAP_MS);
    (void)backoff_init(&core->aside.backoff, LINK_BASE_MS, LINK_CAP_MS);
    l->resync = true;
}

void link_ok(struct core *core)
{
    struct link *l = &core->link;

    l->backoff.failures = 0;
    l->last_ok_ms = core->now.mono_ms;
    l->connected = true;
}

/* Requests that were under way together fail together: they count once. */
void link_failed(struct core *core, uint32_t retry_after_ms)
{
    struct link *l = &core->link;
    uint64_t until;

    l->connected = false;
    l->resync = true; /* what we missed meanwhile is listed by a plain poll only */
    if (l->hold_until_ms > core->now.mono_ms && retry_after_ms == 0)
        return;
    until = core->now.mono_ms + backoff_next(&l->backoff, core->now.entropy, retry_after_ms);
    if (until > l->hold_until_ms)
        l->hold_until_ms = until;
}

/* Whether the channel should be there is looked at after every event. */
static void want_channel(struct core *core)
{
    struct link *l = &core->link;
    bool wanted = core->phase.state == PHASE_SERVING &&
                  (core->options.realtime == CORE_REALTIME_ON ||
                   (core->options.realtime == CORE_REALTIME_AUTO && l->unheld));

    if (wanted == l->channel.wanted)
        return;
    l->channel.wanted = wanted;
    core_emit(core, CORE_CMD_CHANNEL)->open = wanted;
}

/* Up: what came before, a plain poll tells, and until it has, nothing is taken that might overtake
 * it. Down: what comes from now on, the polls tell. */
void link_channel(struct core *core, bool up)
{
    struct link *l = &core->link;

    if (l->channel.up == up)
        return;
    l->channel.up = up;
    l->channel.synced = false;
    l->look = true;
}

/* With a fifth of it as jitter. */
static uint64_t after_interval(const struct core *core)
{
    uint32_t interval = core->options.poll_interval_ms;

    return core->now.mono_ms + interval - interval / 10 + core->now.entropy % (interval / 5 + 1);
}

static void poll_succeeded(struct core *core, const struct core_event *ev)
{
    struct link *l = &core->link;
    uint64_t now = core->now.mono_ms, took = now - l->poll_started_ms;

    link_ok(core);
    l->key_refusals = 0;
    l->unheld = l->poll_wait_ms == 0 ? l->unheld : !ev->waited;
    if (!l->ever_connected) {
        l->ever_connected = true;
        core_emit(core, CORE_CMD_READY);
    }
    l->next_poll_ms = now;
    if (l->poll_wait_ms == 0) {
        l->resync = false;
        l->next_resync_ms = now + RESYNC_MS;
        intake_confirm(core, ev->seq);
        l->channel.synced = l->channel.up && !l->look; /* else it was begun before */
        if (l->channel.up)
            l->next_poll_ms = after_interval(core);
    } else if (!ev->waited) { /* no long polls here */
        l->next_poll_ms = after_interval(core);
        l->resync = false;
    } else if (l->fruitful || took >= l->poll_wait_ms / 2) {
        l->idle.failures = 0;
    } else {
        /* a server that answers at once with nothing new must not make us spin */
        l->next_poll_ms = now + backoff_next(&l->idle, core->now.entropy, 0);
    }
    if (now >= l->next_resync_ms)
        l->resync = true;
}

static void poll_key_refused(struct core *core)
{
    struct link *l = &core->link;

    link_failed(core, 0);
    if (++l->key_refusals < 2)
        return;
    core_note(core, LOG_ERROR, "key_refused", 0,
              "the server refused the agent key twice: put a valid one where this one came from "
              "(key_from of the line 'started'), then start again");
}

void link_polled(struct core *core, const struct core_event *ev)
{
    struct link *l = &core->link;

    l->poll = 0;
    l->listing = false;
    switch (ev->answer) {
    case CORE_ANSWER_OK:
        poll_succeeded(core, ev);
        break;
    case CORE_ANSWER_KEY_REFUSED:
        poll_key_refused(core);
        break;
    case CORE_ANSWER_REFUSED: /* not a status that a poll has: not the server we know */
    case CORE_ANSWER_TOO_LARGE:
    case CORE_ANSWER_CONFLICT:
    case CORE_ANSWER_BUSY:
    case CORE_ANSWER_DOWN:
    case CORE_ANSWER_FAILED:
    case CORE_ANSWER_DROPPED:
        l->key_refusals = 0;
        link_failed(core, ev->retry_after_ms);
        break;
    }
}

static bool may_poll(const struct core *core)
{
    return core->phase.state == PHASE_SERVING && core->link.poll == 0;
}

void link_cancel(struct core *core)
{
    if (core->link.poll != 0)
        core_emit(core, CORE_CMD_POLL_CANCEL);
    core->link.poll = 0;
}

/* Whether a plain poll should replace the long one that is in flight. */
static bool wants_relist(const struct core *core)
{
    const struct link *l = &core->link;

    if (core->phase.state != PHASE_SERVING || (l->poll != 0 && l->poll_wait_ms == 0))
        return false;
    return l->key_doubted || l->unsure || l->look || (l->left_some && intake_has_room(core));
}

static void relist(struct core *core)
{
    struct link *l = &core->link;

    l->left_some = l->left_some && !intake_has_room(core);
    l->key_doubted = false;
    l->look = l->channel.synced = false;
    l->resync = true;
    l->next_poll_ms = core->now.mono_ms;
    l->next_relist_ms = core->now.mono_ms + RELIST_MS;
    link_cancel(core);
}

void link_pump(struct core *core)
{
    struct link *l = &core->link;
    uint64_t now = core->now.mono_ms;
    struct core_command *poll;

    want_channel(core);
    if (core->phase.state != PHASE_SERVING || l->listing)
        return;
    if (wants_relist(core) && now >= l->next_relist_ms)
        relist(core);
    if (!may_poll(core) || now < l->next_poll_ms || now < l->hold_until_ms)
        return;
    l->poll = ++l->last_poll;
    l->fruitful = false;
    l->poll_started_ms = now;
    l->poll_wait_ms = l->resync || l->channel.up ? 0 : core->options.poll_ms;
    poll = core_emit(core, CORE_CMD_POLL);
    poll->seq = l->poll;
    poll->wait_ms = l->poll_wait_ms;
}

uint64_t link_deadline(const struct core *core)
{
    const struct link *l = &core->link;

    uint64_t at = UINT64_MAX;

    if (may_poll(core))
        at = l->next_poll_ms > l->hold_until_ms ? l->next_poll_ms : l->hold_until_ms;
    if (wants_relist(core) && l->next_relist_ms < at && l->next_relist_ms > core->now.mono_ms)
        at = l->next_relist_ms;
    return at;
}
