#include "spawner/ward.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/cgroup.h"
#include "sandbox/plan.h"
#include "spawner/escort.h"
#include "spawner/pool.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

enum {
    STUCK_MS = 2000, /* from the last SIGKILL to the word that it didn't help */
    HARD_MS = 500,   /* for a process 1 to end what no namespace's end does */
};

struct ward *ward_new(uint64_t task)
{
    struct ward *w = mem_new(struct ward);

    w->task = task;
    w->keys = -1;
    for (size_t i = 0; i < ARRAY_SIZE(w->again); i++)
        w->again[i] = -1;
    w->at = APPLY_NO_TASK;
    w->started_ms = clock_mono_ms();
    return w;
}

static void close_control(struct ward *w)
{
    if (w->at.control >= 0)
        (void)close(w->at.control); /* nothing more is said over it */
    w->at.control = -1;
}

static void close_again(struct ward *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(w->again); i++)
        if (w->again[i] >= 0)
            (void)close(TAKE_FD(w->again[i])); /* not needed */
}

static void remove_cgroup(struct ward *w)
{
    if (w->cgroup)
        (void)cgroup_remove(w->cgroup, w->group); /* the next start removes what stays */
    w->cgroup = NULL;
}

void ward_free(struct ward *w)
{
    close_control(w);
    close_again(w);
    if (w->at.pidfd >= 0)
        (void)close(w->at.pidfd); /* it is reaped */
    apply_let_loose(&w->at);
    if (w->keys >= 0)
        (void)close(w->keys); /* nobody wanted them */
    remove_cgroup(w);
    plan_free(w->plan);
    free(w->directory);
    escort_free(w->escort);
    free(w->refusals);
    free(w);
}

bool ward_is_reaped(const struct ward *w)
{
    return w->at.pid == 0 && (!w->escort || escort_is_reaped(w->escort));
}

void ward_fail(struct ward *w, const struct err *err)
{
    w->exit.failed_to_start = true;
    w->exit.failure = err->code;
    (void)snprintf(w->exit.error, sizeof w->exit.error, "%s", err->text);
}

void ward_kill(struct ward *w)
{
    if (w->at.pid == 0)
        return;
    if (w->escort)
        escort_kill(w->escort);
    if (w->bare && !w->killed && w->at.control >= 0) {
        (void)shutdown(w->at.control, SHUT_WR); /* which its process 1 takes for our end */
        w->hard_at_ms = clock_mono_ms() + HARD_MS;
    } else {
        /* Its process 1: the kernel kills all that is in the namespace with it. */
        (void)syscall(SYS_pidfd_send_signal, w->at.pidfd, SIGKILL, NULL, 0); /* ended: fine */
        w->hard_at_ms = WARD_NEVER;
    }
    w->kill_at_ms = WARD_NEVER;
    w->killed = true;
    if (w->stuck_at_ms == WARD_NEVER)
        w->stuck_at_ms = clock_mono_ms() + STUCK_MS;
}

bool ward_is_free(const struct ward *w)
{
    return w->at.pid != 0 && !w->killed && !w->ended && !w->plan;
}

void ward_punish(struct ward *w, enum limit limit)
{
    if (!ward_is_free(w))
        return;
    w->exit.limit = limit;
    ward_kill(w);
}

static int say(struct ward *w, char word)
{
    if (w->at.control < 0 || send(w->at.control, &word, 1, MSG_NOSIGNAL) != 1) {
        int error = w->at.control < 0 ? -EPIPE : -errno;

        ward_kill(w); /* it doesn't listen */
        return error;
    }
    return 0;
}

static int let_go(struct ward *w, struct err *err)
{
    int r = apply_map_ids(w->plan, &w->at, err);

    if (r < 0)
        return r;
    r = say(w, APPLY_GO);
    return r < 0 ? err_set(err, r, "tell the sandbox's process 1 to go on: %s", strerror(-r)) : 0;
}

void ward_end(struct ward *w, uint32_t grace_ms)
{
    uint64_t at_ms = clock_mono_ms() + grace_ms;

    if (w->at.pid == 0 || w->killed || w->ended)
        return;
    w->asked = true;
    if (grace_ms == 0) {
        ward_kill(w);
        return;
    }
    if (w->kill_at_ms == WARD_NEVER || at_ms < w->kill_at_ms)
        w->kill_at_ms = at_ms;
    (void)say(w, APPLY_TERM); /* where it fails, it is killed */
}

/* ---- its egress process ---- */

static void on_ready(void *ctx)
{
    say(ctx, APPLY_GO);
}

static void on_egress_failed(const struct err *err, void *ctx)
{
    ward_fail(ctx, err);
    ward_kill(ctx);
}

static void on_refused(const struct gateway_word *word, void *ctx)
{
    struct ward *w = ctx;

    if (!w->refusals)
        w->refusals = mem_calloc(GATEWAY_REFUSALS_MAX, sizeof w->refusals[0]);
    if (w->refusal_count < GATEWAY_REFUSALS_MAX)
        w->refusals[w->refusal_count++] = *word;
}

static void on_egress_gone(const char *why, void *ctx)
{
    struct ward *w = ctx;

    (void)why; /* the task's end is what counts */
    if (w->at.pid == 0 || w->ended)
        return;
    w->exit.egress_lost = true;
    ward_kill(w);
}

static void forget(void *ctx)
{
    const struct ward *w = ctx;

    w->means->forget(w->means->ctx);
}

static void start_escort(struct ward *w, int listener)
{
    static const struct escort_ops ops = { .ready = on_ready,
                                           .failed = on_egress_failed,
                                           .refused = on_refused,
                                           .gone = on_egress_gone,
                                           .forget = forget };
    struct err err = { 0 };

    if (escort_new(w->plan, apply_egress_filter(w->means->apply), w->means->egress, listener,
                   TAKE_FD(w->keys), &ops, w, &w->escort, &err) == 0)
        return;
    ward_fail(w, &err);
    ward_kill(w);
}

/* ---- its process 1 ---- */

/* What the cgroup knows of the task. */
static void ask_cgroup(struct ward *w)
{
    struct cgroup_usage usage;

    if (!w->cgroup)
        return;
    cgroup_read_memory(w->cgroup, w->group, &usage);
    w->exit.oom = usage.oom;
    if (usage.peak_bytes > 0)
        w->exit.peak_rss_bytes = usage.peak_bytes;
}

/* fd: came with it, -1 for none; taken over. */
static void on_report(struct ward *w, const struct apply_report *report, int fd)
{
    AUTO_CLOSE int owned = fd;
    struct err err;

    if (!w->plan && report->kind < APPLY_ENDED)
        return; /* it runs: that was told */
    switch ((enum apply_kind)report->kind) {
    case APPLY_READY:
        if (let_go(w, &err) < 0) {
            ward_fail(w, &err);
            ward_kill(w);
        }
        return;
    case APPLY_LISTENING:
        if (plan_has_egress(w->plan) && !w->escort && owned >= 0)
            start_escort(w, TAKE_FD(owned));
        return;
    case APPLY_STARTED:
        close_again(w);
        w->started_due = true;
        w->started_pid = w->at.pid;
        plan_free(w->plan); /* it holds the task's secrets, and later tasks are born from us */
        w->plan = NULL;
        return;
    case APPLY_FAILED:
        err.code = err_is_errno(report->error) ? report->error : -EIO;
        apply_describe(w->plan, report, err.text, sizeof err.text);
        ward_fail(w, &err);
        w->exit.not_found = apply_is_not_found(report);
        return;
    case APPLY_ENDED:
        w->ended = true;
        w->exit.status = report->status;
        w->exit.peak_rss_bytes = report->bytes;
        w->exit.cpu_ms = report->cpu_ms;
        if (WIFEXITED(report->status))
            w->exit.limit = LIMIT_NONE; /* it was faster than we */
        w->exit.wall_ms = clock_mono_ms() - w->started_ms;
        w->kill_at_ms = WARD_NEVER;
        w->stuck_at_ms = clock_mono_ms() + STUCK_MS;
        ask_cgroup(w); /* while process 1 ends */
        /* An egress process may have more to say; it is ended with the reaping. */
        if (report->index != 0 && !w->bare && !w->escort)
            w->exited_due = true;
        return;
    case APPLY_WAITING: /* it does so no more */
        return;
    case APPLY_USE:
        w->grown_bytes = report->bytes;
        w->grown_files = report->status > 0 ? (uint64_t)report->status : 0;
        w->hides = report->index != 0;
        return;
    case APPLY_PAST:
        if (report->index > LIMIT_NONE && report->index < LIMIT_COUNT)
            ward_punish(w, (enum limit)report->index);
        return;
    }
}

void ward_read(struct ward *w)
{
    while (w->at.control >= 0) {
        struct apply_report report;
        int fd = -1;
        ssize_t n = fd_recv(w->at.control, &report, sizeof report, &fd, 1);

        if (err_is_shortage((int)n))
            return; /* there is none, or it waits for us */
        if (n == 0 || (n < 0 && n != -EMSGSIZE))
            close_control(w);
        else if (n == sizeof report)
            on_report(w, &report, TAKE_FD(fd));
        if (fd >= 0)
            (void)close(fd); /* came with something else */
    }
}

/* How it ended where its process 1 had no last word. */
static void judge(struct ward *w, int init_status)
{
    struct err err;

    if (w->ended || w->exit.failed_to_start)
        return;
    if (w->killed || WIFSIGNALED(init_status))
        w->exit.status = SIGKILL; /* as a wait status */
    else if (w->asked)
        w->exit.status = SIGTERM; /* it gave up before the program ran */
    else {
        (void)err_set(&err, -ECHILD,
                      "the sandbox's process 1 ended before the program could start");
        ward_fail(w, &err);
    }
}

/* What outlives the plan. */
static void keep_limits(struct ward *w)
{
    struct statvfs fs;

    w->cpu_time_ms = w->plan->cpu_time_ms;
    if (w->plan->tree_bytes > 0 && w->plan->ground.rung == PLAN_RUNG_BARE)
        w->directory = mem_strdup(w->plan->directory);
    for (size_t i = 0; w->plan->tree_bytes > 0 && i < w->plan->step_count; i++) {
        const struct plan_step *s = &w->plan->steps[i];

        if (s->type == PLAN_STEP_BIND && strcmp(s->target, PLAN_HOME) == 0 && !w->directory)
            w->directory = mem_strdup(s->text);
    }
    if (!w->directory || statvfs(w->directory, &fs) < 0)
        return;
    w->room_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    w->room_files = fs.f_favail;
}

/* One that was made before, if there is one that fits. What has to be known before the program
 * begins is found out while it gets ready. */
static bool adopt(struct ward *w, int fds[4])
{
    const struct cgroup *cgroup = w->means->cgroup;
    const char word = APPLY_SURE;
    struct pool *pool = w->means->pool;
    struct apply_task found;
    uint64_t group;
    int r;

    if (!pool || !pool_take(pool, w->plan, &found, &group))
        return false;
    r = apply_hand_over(&found, pool_shared(pool), w->plan, fds[0], fds + 1, cgroup != NULL);
    if (r == 0 && !pool_is_current(pool))
        r = -ESTALE;
    if (r == 0 && cgroup)
        r = cgroup_limit(cgroup, group, w->plan, NULL);
    if (r == 0 && send(found.control, &word, 1, MSG_NOSIGNAL) != 1)
        r = -errno;
    if (r < 0) { /* a new one says what is wrong, if that stays so */
        pool_give_up(pool, &found, group, r != -ESTALE);
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(w->again); i++)
        w->again[i] = TAKE_FD(fds[i]);
    w->at = found;
    w->cgroup = cgroup;
    w->group = group;
    w->exit.warm = true;
    return true;
}

/* Its cgroup, with its limits; nothing where there are none. */
static int make_cgroup(struct ward *w, struct cgroup_doors *ret_doors, struct err *err)
{
    uint64_t group = ++*w->means->group_count;
    int r = w->means->cgroup ? cgroup_make(w->means->cgroup, group, ret_doors, err) : 0;

    if (r < 0)
        return r;
    w->cgroup = w->means->cgroup;
    w->group = group;
    r = w->cgroup ? cgroup_limit(w->cgroup, w->group, w->plan, err) : 0;
    if (r < 0)
        remove_cgroup(w);
    return r;
}

static int place(struct ward *w, int fds[4], bool may_adopt, struct err *err)
{
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;
    struct apply_report report;
    int r;

    if (may_adopt && adopt(w, fds))
        return 0;
    r = make_cgroup(w, &doors, err);
    if (r < 0)
        return r;
    if (apply_start(w->means->apply, w->plan, fds + 1,
                    (struct apply_cgroup){ .doors = &doors, .limited = w->cgroup != NULL }, &w->at,
                    &report) == 0)
        return 0;
    w->at.pid = 0;
    remove_cgroup(w);
    err->code = err_is_errno(report.error) ? report.error : -EIO;
    apply_describe(w->plan, &report, err->text, sizeof err->text);
    return err->code;
}

int ward_place(struct ward *w, const struct ward_means *means, int fds[4], struct err *err)
{
    const struct plan_ground *ground = apply_ground(means->apply);

    w->means = means;
    w->bare = w->plan->ground.rung == PLAN_RUNG_BARE;
    w->own_uid = w->bare && w->plan->as_root ? w->plan->outer_uid : 0;
    if (w->plan->ground.rung != ground->rung ||
        w->plan->ground.without_landlock != ground->without_landlock)
        return err_set(err, -EINVAL, "the plan of a task is for another kind of sandbox");
    /* what an earlier spawner that was killed may have left */
    if (w->own_uid != 0 && sweep_task(w->own_uid, means->is_meant, means->ctx) < 0)
        return err_set(err, -EBUSY, "processes of an earlier task live on as user %u",
                       (unsigned)w->own_uid);
    if ((w->plan->brokers.len > 0) != (w->keys >= 0))
        return err_set(err, -EINVAL, "the order to start a task has brokers without keys");
    if (plan_has_egress(w->plan) && !means->egress)
        return err_set(err, -EOPNOTSUPP,
                       "neither network mode allowlist nor a broker can be served here");
    keep_limits(w);
    return place(w, fds, true, err);
}

/* Whoever is left, where no namespace ended with its process 1. Its own pid is no child's now. */
static void end_rest(struct ward *w)
{
    w->at.pid = 0;
    if (w->bare && sweep_task(w->own_uid, w->means->is_meant, w->means->ctx) < 0)
        w->exit.stuck = true;
}

/* The one that was made before has died without having run anything. */
static bool is_lost(const struct ward *w)
{
    return w->again[0] >= 0 && !w->killed && !w->asked && !w->exit.failed_to_start && !w->escort &&
           !apply_has_begun(w->again[0]);
}

static void start_anew(struct ward *w)
{
    struct err err;

    close_control(w);
    (void)close(w->at.pidfd); /* it is reaped */
    apply_let_loose(&w->at);
    w->at = APPLY_NO_TASK;
    remove_cgroup(w);
    w->exit = (struct spawner_exit){ 0 };
    if (place(w, w->again, false, &err) < 0) {
        ward_fail(w, &err);
        w->exited_due = true;
    }
    close_again(w);
}

void ward_reap(struct ward *w)
{
    struct rusage usage;
    int status;

    if (wait4(w->at.pid, &status, WNOHANG, &usage) != w->at.pid)
        return;
    ward_read(w);
    if (is_lost(w)) {
        start_anew(w);
        return;
    }
    close_again(w);
    judge(w, status);
    if (w->exit.wall_ms == 0)
        w->exit.wall_ms = clock_mono_ms() - w->started_ms;
    w->exit.cpu_ms = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                     (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    if (w->exit.peak_rss_bytes == 0)
        w->exit.peak_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    end_rest(w);
    if (!w->ended)
        ask_cgroup(w);
    if (w->escort)
        escort_kill(w->escort);
    w->kill_at_ms = w->hard_at_ms = w->stuck_at_ms = WARD_NEVER;
    close_control(w);
    if (!w->exited_sent)
        w->exited_due = true;
}

void ward_check(struct ward *w, uint64_t now_ms)
{
    if (w->kill_at_ms != WARD_NEVER && now_ms >= w->kill_at_ms)
        ward_kill(w);
    if (w->hard_at_ms != WARD_NEVER && now_ms >= w->hard_at_ms)
        ward_kill(w);
    if (w->stuck_at_ms != WARD_NEVER && now_ms >= w->stuck_at_ms) {
        w->stuck_at_ms = WARD_NEVER;
        if (!w->exited_sent) {
            judge(w, SIGKILL);
            if (w->exit.wall_ms == 0)
                w->exit.wall_ms = now_ms - w->started_ms;
            w->exit.stuck = true;
            w->exited_due = true;
        }
    }
}
