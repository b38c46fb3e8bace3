/* Sessions: under which id a job's conversation can be gone on with. They outlive the job's
 * messages, so they have a table of their own, ordered by when they were put there. */
#include "core/state.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

/* Printed by the task, so anything; passed to the program as an argument later. */
static bool is_valid(const char *id)
{
    static const char alphanumeric[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t len = id ? strlen(id) : 0;

    return len >= 1 && len <= SESSION_ID_MAX && strchr(alphanumeric, id[0]) &&
           id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")] ==
               '\0';
}

static struct session *find(const struct core *core, const char *job_id)
{
    struct session *s = NULL;

    HASH_FIND_STR(core->sessions, job_id, s);
    return s;
}

static void emit(struct core *core, const struct session *s, const char *id)
{
    struct core_command *command = core_emit(core, CORE_CMD_SESSION);

    command->job_id = s->job_id;
    command->runner = s->runner;
    command->session = id;
    command->wall_ms = s->wall_ms;
}

static struct session *session_new(const char *job_id, const char *runner, const char *id,
                                   int64_t wall_ms)
{
    size_t job_len = strlen(job_id) + 1, runner_len = strlen(runner) + 1, len = strlen(id) + 1;
    struct session *s = mem_alloc(sizeof *s + job_len + runner_len + len);
    char *place = (char *)(s + 1);

    s->wall_ms = wall_ms;
    s->job_id = memcpy(place, job_id, job_len);
    s->runner = memcpy(place + job_len, runner, runner_len);
    s->id = memcpy(place + job_len + runner_len, id, len);
    return s;
}

static void add(struct core *core, struct session *s)
{
    HASH_ADD_KEYPTR(hh, core->sessions, s->job_id, strlen(s->job_id), s);
}

/* Out of the table; commands may point at it until the next event. */
static void bury(struct core *core, struct session *s)
{
    HASH_DEL(core->sessions, s);
    SLIST_INSERT_HEAD(&core->dead_sessions, s, dead);
}

void session_empty_graveyard(struct core *core)
{
    struct session *s;

    while ((s = SLIST_FIRST(&core->dead_sessions)) != NULL) {
        SLIST_REMOVE_HEAD(&core->dead_sessions, dead);
        free(s);
    }
}

void session_done(struct core *core)
{
    struct session *s, *next;

    session_empty_graveyard(core);
    HASH_ITER (hh, core->sessions, s, next) {
        HASH_DEL(core->sessions, s);
        free(s);
    }
}

void session_restore(struct core *core, const char *job_id, const char *runner, const char *id,
                     int64_t wall_ms)
{
    if (!str_is_empty(job_id) && !str_is_empty(runner) && is_valid(id) && !find(core, job_id))
        add(core, session_new(job_id, runner, id, wall_ms));
}

const char *session_of(const struct core *core, const char *job_id)
{
    const struct session *s = find(core, job_id);

    return s && str_eq(s->runner, core->options.runner) ? s->id : NULL;
}

void session_forget(struct core *core, const char *job_id)
{
    struct session *s = find(core, job_id);

    if (!s)
        return;
    emit(core, s, NULL);
    bury(core, s);
}

static void set(struct core *core, const char *job_id, const char *runner, const char *id)
{
    struct session *old = find(core, job_id), *s;

    if (!old && HASH_COUNT(core->sessions) >= SESSIONS_MAX)
        session_forget(core, core->sessions->job_id); /* the table keeps the order of arrival */
    s = session_new(job_id, runner, id, core->now.wall_ms);
    if (old)
        bury(core, old);
    add(core, s);
    emit(core, s, s->id);
}

void session_touch(struct core *core, const char *job_id)
{
    const struct session *s = find(core, job_id);

    if (s && core->now.wall_ms - s->wall_ms >= SESSION_TOUCH_MS)
        set(core, job_id, s->runner, s->id);
}

void session_named(struct core *core, struct entry *e, const char *runner, const char *id)
{
    const struct session *known = find(core, e->task->job_id);

    if (e->task->state != TASK_RUNNING || str_is_empty(runner) ||
        (known && str_eq(known->runner, runner) && str_eq(known->id, id)))
        return;
    if (is_valid(id) && e->sessions_named < SESSIONS_NAMED_MAX) {
        e->sessions_named++;
        set(core, e->task->job_id, runner, id);
    } else if (!e->session_refused) {
        e->session_refused = true;
        core_note(core, LOG_WARNING, "session_ignored", e->task->seq,
                  is_valid(id) ? "the program names more sessions than an attempt may have"
                               : "what the program names as its session is no such id");
    }
}

void session_purge(struct core *core)
{
    /* not before the job's files, whose time of last use is exact */
    int64_t before_ms =
        core->now.wall_ms - SESSION_TOUCH_MS - (int64_t)core->options.workspace_retention_s * 1000;
    struct session *s, *next;
    size_t count = 0;

    HASH_ITER (hh, core->sessions, s, next) {
        struct job *job = NULL;

        if (s->wall_ms >= before_ms)
            continue;
        HASH_FIND_STR(core->jobs, s->job_id, job);
        if (job) /* its files are kept, too */
            continue;
        session_forget(core, s->job_id);
        if (++count >= SESSIONS_PURGE_MAX)
            return; /* the rest next time */
    }
}
