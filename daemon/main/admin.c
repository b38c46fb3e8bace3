#include "main/admin.h"

#include <errno.h>
#include <unistd.h>

#include "control/control.h"
#include "core/core.h"
#include "core/turn.h"
#include "loop/loop.h"
#include "main/daemon.h"
#include "main/joblog.h"
#include "main/notify.h"
#include "main/provisions.h"
#include "main/wire.h"
#include "spawner/spawner.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/json.h"
#include "util/log.h"
#include "util/str.h"

static void add_progress(struct json *job, const struct progress *progress)
{
    CLEANUP(buf_done) struct buf text = { 0 };

    if (progress)
        progress_describe(progress, &text);
    if (text.len > 0)
        json_add_str(job, "progress", buf_str(&text));
}

static void add_task(const struct task *t, uint64_t started_ms, bool stopping, bool quarantined,
                     const struct progress *progress, void *ctx)
{
    struct json *jobs = ctx, *job = json_object();

    json_add_str(job, "id", t->job_id);
    json_add_str(job, "message", t->id);
    json_add_str(job, "state", stopping ? "stopping" : task_state_name(t->state));
    json_add_i64(job, "attempt", t->attempt);
    json_add_str(job, "mode", t->mode == TASK_MODE_ASK ? "ask" : "execute");
    if (started_ms > 0)
        json_add_i64(job, "started_ms", (int64_t)started_ms);
    if (quarantined)
        json_add_bool(job, "quarantined", true);
    add_progress(job, progress);
    json_push(jobs, job);
}

static struct json *connection_of(const struct daemon *d, const struct core_status *s)
{
    struct json *connection = json_object();
    uint64_t now = loop_now_ms(d->loop);

    json_add_str(connection, "state", s->connected ? "connected" : "disconnected");
    json_add_str(connection, "url", d->settings.server_url);
    if (s->last_ok_ms > 0)
        json_add_i64(connection, "last_ok_ms_ago", (int64_t)(now - s->last_ok_ms));
    if (s->hold_until_ms > now)
        json_add_i64(connection, "retry_in_ms", (int64_t)(s->hold_until_ms - now));
    return connection;
}

static void answer_status(const struct daemon *d, struct json *answer)
{
    struct core_status s;
    struct json *queue = json_object(), *jobs = json_array();

    core_status(d->core, &s);
    json_add_i64(answer, "pid", getpid());
    json_add_i64(answer, "spawner_pid", spawner_pid(d->spawner));
    json_add_str(answer, "version", NAIRID_VERSION);
    json_add_i64(answer, "uptime_ms", (int64_t)(loop_now_ms(d->loop) - d->started_ms));
    json_add_str(answer, "agent_id", d->settings.agent_id);
    json_add_bool(answer, "draining", s.draining);
    json_add_bool(answer, "disk_full", s.tight);
    json_add_bool(answer, "durable",
                  turn_is_durable(d->turn)); /* what this answer says is on disk */
    json_add(answer, "connection", connection_of(d, &s));
    json_add_i64(queue, "waiting", (int64_t)s.waiting);
    json_add_i64(queue, "running", (int64_t)s.running);
    json_add_i64(queue, "slots", s.slots);
    json_add_i64(queue, "outbox", (int64_t)s.outbox);
    json_add(answer, "queue", queue);
    core_visit(d->core, add_task, jobs);
    json_add(answer, "jobs", jobs);
    json_add(answer, "provisioning", provisions_status(d->provisions));
}

static int answer_cancel(struct daemon *d, const struct json *request, uint64_t number,
                         struct json *answer, struct err *err)
{
    const char *job_id = json_get_str(request, "job");
    const struct core_event ev = { .type = CORE_EV_CANCEL, .job_id = job_id, .asker = number };

    if (!job_id)
        return err_set(err, -EINVAL, "cancel wants the id of a job: {\"job\":\"job_...\"}");
    if (!core_can_cancel(d->core, job_id))
        return err_set(err, -ENOENT,
                       "job '%.64s' has nothing that waits or runs here; 'nairid status' lists the "
                       "jobs that have",
                       job_id);
    log_notice("cancel", "job", job_id);
    wire_run(d, &ev);
    json_add_str(answer, "job", job_id);
    return CONTROL_LATER;
}

static void add_line(const char *line, void *ctx)
{
    json_push_str(ctx, line);
}

static int answer_logs(const struct daemon *d, const struct json *request, struct json *answer,
                       struct err *err)
{
    CLEANUP_PTR(json_free) struct json *lines = json_array();
    const char *job_id = json_get_str(request, "job");
    bool forgot;

    if (!job_id)
        return err_set(err, -EINVAL, "logs wants the id of a job: {\"job\":\"job_...\"}");
    if (joblog_visit(d->joblog, job_id, add_line, lines, &forgot) == 0)
        return err_set(
            err, -ENOENT,
            "nothing is kept that was logged of job '%.64s'%s; older lines are where the "
            "daemon's standard error goes ('journalctl -u nairid' for the service)",
            job_id, forgot ? "" : " since the daemon started");
    json_add(answer, "lines", TAKE_PTR(lines));
    json_add_bool(answer, "forgot", forgot);
    return 0;
}

int admin_answer(const struct json *request, uint64_t number, struct json *answer, struct err *err,
                 void *ctx)
{
    struct daemon *d = ctx;
    const char *verb = json_get_str(request, "verb");
    const struct core_event drain = { .type = CORE_EV_DRAIN, .asker = number };

    if (str_eq(verb, "status")) {
        answer_status(d, answer);
        return 0;
    }
    if (str_eq(verb, "cancel"))
        return answer_cancel(d, request, number, answer, err);
    if (str_eq(verb, "logs"))
        return answer_logs(d, request, answer, err);
    if (str_eq(verb, "drain")) {
        log_notice("drain", "text", "asked for over the admin socket");
        notify_stopping();
        spawner_warm(d->spawner, 0);
        wire_run(d, &drain);
        return CONTROL_LATER;
    }
    return err_set(err, -EINVAL, "unknown verb; known are status, cancel, logs and drain");
}
