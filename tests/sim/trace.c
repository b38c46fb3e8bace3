#include "sim/trace.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "sim/sim.h"
#include "util/cleanup.h"

static const char *const event_names[] = {
    [CORE_EV_START] = "start",       [CORE_EV_MESSAGE] = "message",
    [CORE_EV_JOB] = "job",           [CORE_EV_POLLED] = "polled",
    [CORE_EV_SENT] = "sent",         [CORE_EV_STARTED] = "started",
    [CORE_EV_OUTPUT] = "output",     [CORE_EV_PROGRESS] = "progress",
    [CORE_EV_SESSION] = "session",   [CORE_EV_FINAL] = "final",
    [CORE_EV_OVERFLOW] = "overflow", [CORE_EV_ENDED] = "ended",
    [CORE_EV_SURVEYED] = "surveyed", [CORE_EV_CANCEL] = "cancel",
    [CORE_EV_DRAIN] = "drain",       [CORE_EV_TERM] = "term",
    [CORE_EV_QUIT] = "quit",         [CORE_EV_ROOM] = "room",
    [CORE_EV_IDLE] = "idle",         [CORE_EV_COMPLETED] = "completed",
    [CORE_EV_CHANNEL] = "channel",   [CORE_EV_PUSHED] = "pushed",
    [CORE_EV_TICK] = "tick",
};
static_assert(ARRAY_SIZE(event_names) == CORE_EVENT_COUNT, "every event has a name");

static const char *const answer_names[] = {
    [CORE_ANSWER_OK] = "ok",
    [CORE_ANSWER_REFUSED] = "refused",
    [CORE_ANSWER_TOO_LARGE] = "too large",
    [CORE_ANSWER_CONFLICT] = "conflict",
    [CORE_ANSWER_KEY_REFUSED] = "key refused",
    [CORE_ANSWER_BUSY] = "busy",
    [CORE_ANSWER_DOWN] = "down",
    [CORE_ANSWER_FAILED] = "failed",
    [CORE_ANSWER_DROPPED] = "dropped",
};

static const char *const post_names[] = {
    [CORE_POST_NONE] = "none",         [CORE_POST_PROCESSING] = "processing",
    [CORE_POST_PROGRESS] = "progress", [CORE_POST_UPLOAD] = "upload",
    [CORE_POST_REPLY] = "reply",       [CORE_POST_ACK] = "ack",
    [CORE_POST_COMPLETE] = "complete",
};
static_assert(ARRAY_SIZE(post_names) == CORE_POST_COUNT, "every post has a name");

static const char *const command_names[] = {
    [CORE_CMD_INSERT] = "insert",
    [CORE_CMD_UPDATE] = "update",
    [CORE_CMD_DELETE] = "delete",
    [CORE_CMD_PURGE] = "purge",
    [CORE_CMD_SESSION] = "session",
    [CORE_CMD_JOB] = "job",
    [CORE_CMD_FORGET_JOB] = "forget job",
    [CORE_CMD_COMPLETE] = "complete",
    [CORE_CMD_SPAWN] = "spawn",
    [CORE_CMD_KILL] = "kill",
    [CORE_CMD_SURVEY] = "survey",
    [CORE_CMD_SETTLE] = "settle",
    [CORE_CMD_GATHER] = "gather",
    [CORE_CMD_DISCARD] = "discard",
    [CORE_CMD_POLL] = "poll",
    [CORE_CMD_POLL_CANCEL] = "poll cancel",
    [CORE_CMD_CHANNEL] = "channel",
    [CORE_CMD_SEND] = "send",
    [CORE_CMD_SEND_CANCEL] = "send cancel",
    [CORE_CMD_ANSWER] = "answer",
    [CORE_CMD_READY] = "ready",
    [CORE_CMD_NOTE] = "note",
    [CORE_CMD_EXIT] = "exit",
};

const char *trace_event_name(enum core_event_type type)
{
    return event_names[type];
}

const char *trace_answer_name(enum core_answer answer)
{
    return answer_names[answer];
}

const char *trace_post_name(enum core_post post)
{
    return post_names[post];
}

const char *trace_message(const struct side *side, uint64_t seq)
{
    const struct task *t = side->core ? core_task(side->core, seq) : NULL;

    return t ? t->id : "?";
}

void trace_line(const struct sim *sim, const struct side *side, const char *kind, const char *fmt,
                ...)
{
    va_list ap;

    fprintf(sim->trace, "%10.3f  %c%-3.*u  %-8s  ", (double)sim->now_ms / 1000,
            side ? side->name : '-', side ? 1 : 0, side ? side->life : 0, kind);
    va_start(ap, fmt);
    vfprintf(sim->trace, fmt, ap);
    va_end(ap);
    fputc('\n', sim->trace);
}

void trace_event(const struct sim *sim, const struct side *side, const struct core_event *ev)
{
    const char *name = event_names[ev->type];

    switch (ev->type) {
    case CORE_EV_MESSAGE:
        trace_line(sim, side, "event", "%s %s of %s, fence %u%s", name, ev->task->id,
                   ev->task->job_id, (unsigned)ev->task->fence,
                   ev->cancel_requested ? ", stop" : "");
        break;
    case CORE_EV_JOB:
        trace_line(sim, side, "event", "%s %s, fence %u%s", name, ev->job_id, (unsigned)ev->fence,
                   ev->cancel_requested ? ", stop" : "");
        break;
    case CORE_EV_POLLED:
        trace_line(sim, side, "event", "%s %u: %s%s", name, (unsigned)ev->seq,
                   answer_names[ev->answer], ev->waited ? ", waited" : "");
        break;
    case CORE_EV_SENT:
        trace_line(sim, side, "event", "%s %s: %s", name, trace_message(side, ev->seq),
                   answer_names[ev->answer]);
        break;
    case CORE_EV_STARTED:
    case CORE_EV_OUTPUT:
    case CORE_EV_PROGRESS:
    case CORE_EV_FINAL:
    case CORE_EV_OVERFLOW:
    case CORE_EV_ENDED:
    case CORE_EV_SURVEYED:
        trace_line(sim, side, "event", "%s %s", name, trace_message(side, ev->seq));
        break;
    case CORE_EV_SESSION:
        trace_line(sim, side, "event", "%s of %s: %s", name, trace_message(side, ev->seq),
                   ev->session);
        break;
    case CORE_EV_ROOM:
        trace_line(sim, side, "event", "%s: %s", name, ev->tight ? "tight" : "enough");
        break;
    case CORE_EV_CHANNEL:
        trace_line(sim, side, "event", "%s: %s", name, ev->up ? "up" : "down");
        break;
    case CORE_EV_PUSHED:
        trace_line(sim, side, "event", "%s %s%s", name, ev->task ? ev->task->id : "something",
                   ev->whole ? "" : ", not whole");
        break;
    case CORE_EV_CANCEL:
        trace_line(sim, side, "event", "%s %s", name, ev->job_id);
        break;
    case CORE_EV_COMPLETED:
        trace_line(sim, side, "event", "%s %u: %s", name, (unsigned)ev->seq,
                   answer_names[ev->answer]);
        break;
    case CORE_EV_IDLE:
    case CORE_EV_START:
    case CORE_EV_DRAIN:
    case CORE_EV_TERM:
    case CORE_EV_QUIT:
    case CORE_EV_TICK:
    case CORE_EVENT_COUNT:
        trace_line(sim, side, "event", "%s", name);
        break;
    }
}

void trace_command(const struct sim *sim, const struct side *side, const char *kind,
                   const struct core_command *c)
{
    const char *name = command_names[c->type];

    if (!sim->trace)
        return;
    if (c->task)
        trace_line(sim, side, kind, "%s %s: %s, attempt %u, fence %u", name, c->task->id,
                   task_state_name(c->task->state), c->task->attempt, (unsigned)c->task->fence);
    else if (c->type == CORE_CMD_SESSION)
        trace_line(sim, side, kind, "%s of %s: %s", name, c->job_id,
                   c->session ? c->session : "none");
    else if (c->type == CORE_CMD_JOB || c->type == CORE_CMD_FORGET_JOB)
        trace_line(sim, side, kind, "%s %s%s", name, c->job_id, c->leaving ? ", leaving" : "");
    else if (c->type == CORE_CMD_SEND)
        trace_line(sim, side, kind, "%s %s of %s", name, post_names[c->post],
                   trace_message(side, c->seq));
    else if (c->type == CORE_CMD_CHANNEL)
        trace_line(sim, side, kind, "%s: %s", name, c->open ? "open" : "close");
    else if (c->type == CORE_CMD_NOTE)
        trace_line(sim, side, kind, "%s %s: %s", name, c->name, c->text);
    else if (c->type == CORE_CMD_SPAWN || c->type == CORE_CMD_KILL || c->type == CORE_CMD_SURVEY ||
             c->type == CORE_CMD_SETTLE || c->type == CORE_CMD_GATHER ||
             c->type == CORE_CMD_DISCARD)
        trace_line(sim, side, kind, "%s %s, grace %u ms", name, trace_message(side, c->seq),
                   c->grace_ms);
    else if (c->type == CORE_CMD_ANSWER)
        trace_line(sim, side, kind, "%s to word %u", name, (unsigned)c->asker);
    else
        trace_line(sim, side, kind, "%s %u, wait %u ms, code %d", name, (unsigned)c->seq,
                   c->wait_ms, c->code);
}
