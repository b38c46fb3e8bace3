#include "main/aftermath.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "core/core.h"
#include "main/daemon.h"
#include "main/wire.h"
#include "runner/capture.h"
#include "spawner/spawner.h"
#include "store/statedir.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "workspace/outgoing.h"
#include "workspace/workspace.h"

enum {
    TRIM_ENTRIES = 20000, /* some ten milliseconds */
    FILES_MIN = 256,      /* without so many to be made other jobs can't begin */
};

static void log_end(const struct daemon *d, uint64_t seq, const struct spawner_exit *e)
{
    const struct task *t = core_task(d->core, seq);
    char name[16];
    const char *job = t ? t->job_id : NULL, *id = t ? t->id : NULL;

    if (e->failed_to_start)
        log_warning("task_not_started", "job", job, "message", id, "error", e->error);
    else if (WIFSIGNALED(e->status))
        log_info("task_ended", "job", job, "message", id, "signal",
                 ending_signal_name(WTERMSIG(e->status), name), "sandbox", e->warm ? "warm" : "new",
                 "wall_ms", LOG_N(e->wall_ms), "cpu_ms", LOG_N(e->cpu_ms), "peak_rss",
                 LOG_N(e->peak_rss_bytes));
    else
        log_info("task_ended", "job", job, "message", id, "status", LOG_N(WEXITSTATUS(e->status)),
                 "sandbox", e->warm ? "warm" : "new", "wall_ms", LOG_N(e->wall_ms), "cpu_ms",
                 LOG_N(e->cpu_ms), "peak_rss", LOG_N(e->peak_rss_bytes));
}

/* Everything that the program said, fit to be stored and sent. */
static void mask_result(const struct mask *mask, struct capture_result *c)
{
    struct runner_result *r = &c->result;
    AUTO_FREE char *model = mask_text(mask, mem_strdup(r->usage.model));

    r->text = mask_text_cut(mask, r->text); /* some runner may have cut it, and within a secret */
    if (r->error)
        r->error = mask_text_cut(mask, r->error);
    c->stderr_tail = mask_text(mask, c->stderr_tail);
    (void)snprintf(r->usage.model, sizeof r->usage.model, "%s", model); /* a cut one is no loss */
}

static void log_usage(const struct daemon *d, uint64_t seq, const struct usage *u)
{
    const struct task *t = core_task(d->core, seq);
    char cost[USAGE_COST_MAX];

    log_info("task_usage", "job", t ? t->job_id : NULL, "message", t ? t->id : NULL, "model",
             u->model[0] ? u->model : NULL, "cost_usd",
             u->cost_nano_usd > 0 ? usage_cost(u, cost) : NULL, "input_tokens",
             LOG_N(usage_count(u->input_tokens)), "output_tokens",
             LOG_N(usage_count(u->output_tokens)), "cache_read_tokens",
             LOG_N(usage_count(u->cache_read_tokens)), "cache_write_tokens",
             LOG_N(usage_count(u->cache_write_tokens)));
}

static bool is_disk_full(const char *directory)
{
    struct statvfs fs;

    return statvfs(directory, &fs) == 0 &&
           ((uint64_t)fs.f_bavail * fs.f_frsize < 2 * (uint64_t)STATEDIR_RESERVE_BYTES ||
            (fs.f_files > 0 && fs.f_favail < FILES_MIN));
}

static bool are_on_one_disk(const char *a, const char *b)
{
    struct stat a_st, b_st;

    return stat(a, &a_st) == 0 && stat(b, &b_st) == 0 && a_st.st_dev == b_st.st_dev;
}

/* A task that was ended because it filled the disk, faster than anyone could look: as long as the
 * files that it made are there the journal may have no room, and nothing would be taken any more.
 * What the job had before is its own, whoever has filled the disk. */
static bool make_room(struct daemon *d, uint64_t seq, const struct spawner_exit *e)
{
    const struct task *t = core_task(d->core, seq);
    struct err err = { 0 };
    uint64_t bytes = 0;

    if (e->limit != LIMIT_ROOM || !t || !is_disk_full(d->settings.state_dir) ||
        !are_on_one_disk(d->settings.state_dir, d->settings.workspace_root))
        return false; /* or it would not help */
    if (workspace_trim(d->settings.workspace_root, t->job_id, TRIM_ENTRIES, &bytes, &err) < 0 ||
        bytes == 0) {
        log_warning("job_files_stay", "job", t->job_id, "error",
                    err.text[0] ? err.text : "the disk is full, and this task has made no files");
        return false;
    }
    log_warning("job_files_removed", "job", t->job_id, "bytes", LOG_N(bytes), "text",
                "its task had filled the disk, and the journal had no room any more; what it had "
                "made was removed");
    return true;
}

static bool has_files(const struct daemon *d, uint64_t seq, const struct spawner_exit *e)
{
    const struct task *t = core_task(d->core, seq);

    return !e->failed_to_start && t && outgoing_is_there(d->settings.workspace_root, t->job_id);
}

/* What the spawner and the runner have to say about the end, as one event. */
static void report(struct daemon *d, uint64_t seq, const struct spawner_exit *e,
                   const struct capture_result *c, const char *refused)
{
    const struct runner_result *r = &c->result;
    const struct ending ending = { .failed_to_start = e->failed_to_start,
                                   .not_found = e->not_found,
                                   .start_error = e->error,
                                   .stuck = e->stuck,
                                   .oom = e->oom,
                                   .limit = e->limit,
                                   .files_gone = make_room(d, seq, e),
                                   .files = has_files(d, seq, e),
                                   .egress_lost = e->egress_lost,
                                   .refused = refused,
                                   .status = e->status,
                                   .stderr_tail = c->stderr_tail,
                                   .ok = r->ok,
                                   .final = r->final,
                                   .session_gone = r->session_gone,
                                   .text = r->text,
                                   .error = r->error,
                                   .dropped_bytes = r->dropped_bytes,
                                   .has_usage = r->has_usage,
                                   .usage = r->usage };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };

    wire_run(d, &ev);
}

void aftermath_tell(struct daemon *d, uint64_t seq, const struct spawner_exit *e,
                    struct capture *capture, const char *refused)
{
    struct capture_result result = { 0 };

    log_end(d, seq, e);
    capture_finish(capture,
                   !e->failed_to_start && WIFEXITED(e->status) && WEXITSTATUS(e->status) == 0,
                   &result);
    mask_result(d->mask, &result);
    if (result.result.has_usage)
        log_usage(d, seq, &result.result.usage);
    report(d, seq, e, &result, refused);
    capture_result_done(&result);
}
