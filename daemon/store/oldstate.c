#include "store/oldstate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "task/task.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

enum { NODES_MAX = 400000, ID_MAX_BYTES = 128, TEXT_MAX_BYTES = 1024 * 1024 };

/* One oldstate_read() in progress. */
struct reader {
    const struct json *jobs;
    int64_t now_ms;
    uint64_t seq;
    struct task **items; /* what is to be answered, before it has its order */
    size_t len;
    struct strv lost; /* ids of what waited and can't be taken over */
    struct oldstate *s;
};

/* As the daemon's other ids: they become parts of paths. */
static bool is_id(const char *id)
{
    size_t len = id ? strnlen(id, ID_MAX_BYTES + 1) : 0;

    if (len == 0 || len > ID_MAX_BYTES || str_eq(id, ".") || str_eq(id, ".."))
        return false;
    for (size_t i = 0; i < len; i++)
        if (id[i] <= ' ' || id[i] > '~' || id[i] == '/')
            return false;
    return true;
}

static int64_t time_of(const struct reader *r, const struct json *node, const char *key)
{
    const char *text = key ? json_get_str(node, key) : json_str(node);
    int64_t ms;

    /* a time to come would never expire */
    return clock_parse_rfc3339(text, &ms) == 0 && ms > 0 && ms < r->now_ms ? ms : r->now_ms;
}

static const char *text_of(const struct json *node, const char *key)
{
    const char *text = json_get_str(node, key);

    return text && strlen(text) <= TEXT_MAX_BYTES ? text : NULL;
}

/* What is answered of a job: its last message, unless that is still worked on. */
static bool is_answered(const struct json *job)
{
    const char *status = json_get_str(job, "status");

    return str_eq(status, "completed") || str_eq(status, "failed");
}

/* Of a job whose mode nobody knows nothing may be changed. */
static enum task_mode mode_of(const struct json *job)
{
    return str_eq(json_get_str(job, "mode"), "execute") ? TASK_MODE_EXECUTE : TASK_MODE_ASK;
}

static bool is_waiting(const struct reader *r, const char *id)
{
    for (size_t i = 0; i < r->len; i++)
        if (str_eq(r->items[i]->id, id))
            return true;
    return false;
}

static char *print_payload(const struct task *t, const char *link)
{
    CLEANUP_PTR(json_free) struct json *payload = json_object();

    json_add_str(payload, "job_id", t->job_id);
    json_add_str(payload, "message", t->prompt);
    json_add_str(payload, "processed_message_id", t->id);
    json_add_str(payload, "message_link", link ? link : "");
    json_add_str(payload, "mode", t->mode == TASK_MODE_ASK ? "ask" : "execute");
    return json_print(payload);
}

static void add_message(struct reader *r, const char *id, const char *job_id, const char *message,
                        const char *link, enum task_kind kind, int64_t since_ms)
{
    struct task *t;

    if (!is_id(id) || !is_id(job_id) || str_is_empty(message) || r->len == OLDSTATE_MESSAGES_MAX ||
        is_waiting(r, id)) {
        if (is_id(id) && !is_waiting(r, id))
            strv_add(&r->lost, id);
        r->s->skipped++;
        return;
    }
    t = task_new();
    t->id = mem_strdup(id);
    t->ack_id = mem_strdup(id);
    t->job_id = mem_strdup(job_id);
    t->kind = kind;
    t->mode = mode_of(json_get(r->jobs, job_id));
    t->prompt = mem_strdup(message);
    t->payload = print_payload(t, link);
    t->received_ms = t->updated_ms = since_ms;
    r->items[r->len++] = t;
}

/* A message that was worked on and not answered. */
static void read_cut_short(struct reader *r)
{
    for (const struct json *job = json_first(r->jobs); job; job = json_next(job)) {
        const char *session = json_get_str(job, "claude_session_id");

        if (str_eq(json_get_str(job, "status"), "in_progress") &&
            !str_is_empty(json_get_str(job, "processed_message_id")))
            add_message(r, json_get_str(job, "processed_message_id"), json_key(job),
                        text_of(job, "last_message"), text_of(job, "message_link"),
                        str_is_empty(session) ? TASK_KIND_START : TASK_KIND_USER,
                        time_of(r, job, "updated_at"));
    }
}

static void read_queued(struct reader *r, const struct json *queued)
{
    for (const struct json *q = json_first(queued); q; q = json_next(q)) {
        const char *id = json_get_str(q, "processed_message_id");
        const char *job_id = json_get_str(q, "job_id");
        const struct json *job = json_get(r->jobs, job_id ? job_id : "");
        bool is_start = str_eq(json_get_str(q, "message_type"), "start_conversation_v1");

        if (is_id(id) && str_eq(json_get_str(job, "processed_message_id"), id))
            continue; /* it is the job's last one, which was looked at */
        add_message(r, id, job_id, text_of(q, "message"), text_of(q, "message_link"),
                    is_start ? TASK_KIND_START : TASK_KIND_USER, time_of(r, q, "queued_at"));
    }
}

/* What was cut short has been added first and stays there; the others by their age. */
static void sort_from(struct reader *r, size_t first)
{
    for (size_t i = first + 1; i < r->len; i++) {
        struct task *t = r->items[i];
        size_t at = i;

        for (; at > first && (r->items[at - 1]->received_ms > t->received_ms ||
                              (r->items[at - 1]->received_ms == t->received_ms &&
                               strcmp(r->items[at - 1]->id, t->id) > 0));
             at--)
            r->items[at] = r->items[at - 1];
        r->items[at] = t;
    }
}

static void keep_messages(struct reader *r)
{
    static const char old[] =
        "this message waited for more than a day while the daemon was replaced; it was not run. "
        "Please send it again if it is still wanted";

    for (size_t i = 0; i < r->len; i++) {
        struct task *t = r->items[i];
        bool is_old = r->now_ms - t->received_ms > OLDSTATE_RUN_MS;

        t->seq = ++r->seq;
        (void)task_restore(t, is_old ? "finished" : "received"); /* names of ours */
        if (is_old) {
            t->reply_kind = TASK_REPLY_ERROR;
            t->reply = mem_strdup(old);
        }
        r->s->waiting += !is_old;
        r->s->expired += is_old;
        store_batch_insert(r->s->batch, t);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Were it remembered as answered, it would be dropped without a word when it comes again. */
static bool is_lost(const struct reader *r, const char *id)
{
    return r->lost.len > 0 &&
           bsearch(&id, r->lost.items, r->lost.len, sizeof r->lost.items[0], by_text);
}

static void keep_seen(struct reader *r, const char *id, int64_t since_ms)
{
    struct task *t;

    if (!is_id(id) || r->s->seen == OLDSTATE_SEEN_MAX) {
        r->s->skipped++;
        return;
    }
    if (is_waiting(r, id) || is_lost(r, id))
        return;
    t = task_new();
    t->id = mem_strdup(id);
    t->job_id = mem_strdup("-"); /* the file doesn't say */
    t->seq = ++r->seq;
    t->received_ms = t->updated_ms = since_ms;
    (void)task_restore(t, "acked"); /* a name of ours */
    store_batch_insert(r->s->batch, t);
    task_free(t);
    r->s->seen++;
}

static void read_seen(struct reader *r, const struct json *seen)
{
    for (const struct json *at = json_first(seen); at; at = json_next(at))
        keep_seen(r, json_key(at), time_of(r, at, NULL));
    for (const struct json *job = json_first(r->jobs); job; job = json_next(job)) {
        const char *id = json_get_str(job, "processed_message_id");

        if (is_answered(job) && !str_is_empty(id) && !(id && json_get(seen, id)))
            keep_seen(r, id, time_of(r, job, "updated_at"));
    }
}

static void read_sessions(struct reader *r, const char *runner)
{
    for (const struct json *job = json_first(r->jobs); job; job = json_next(job)) {
        const char *session = json_get_str(job, "claude_session_id");

        if (str_is_empty(session) || str_eq(session, "unknown"))
            continue;
        if (!is_id(json_key(job)) || !is_id(session) || r->s->sessions == OLDSTATE_SESSIONS_MAX) {
            r->s->skipped++;
            continue;
        }
        store_batch_session(r->s->batch, json_key(job), runner, session,
                            time_of(r, job, "updated_at"));
        r->s->sessions++;
    }
}

static void read_all(struct reader *r, const struct json *root, const char *runner)
{
    const char *instance = json_get_str(root, "agent_id");
    size_t cut_short;

    if (instance && ulid_has_prefix(instance, "ccaid") && strlen(instance) < ULID_ID_MAX)
        memcpy(r->s->instance_id, instance, strlen(instance) + 1);
    read_cut_short(r);
    cut_short = r->len;
    sort_from(r, 0);
    read_queued(r, json_get(root, "queued_messages"));
    sort_from(r, cut_short);
    keep_messages(r);
    if (r->lost.len > 0)
        qsort(r->lost.items, r->lost.len, sizeof r->lost.items[0], by_text);
    read_seen(r, json_get(root, "seen_messages"));
    read_sessions(r, runner);
}

int oldstate_read(const char *text, size_t len, const char *runner, int64_t now_ms,
                  struct oldstate *ret_state, struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct reader r = { .now_ms = now_ms, .s = ret_state };
    int result = len > OLDSTATE_SIZE_MAX ? err_set(err, -EMSGSIZE, "it is too large")
                                         : json_parse_light(text, len, NODES_MAX, &root, err);

    *ret_state = (struct oldstate){ 0 };
    if (result < 0)
        return result;
    if (!json_is_object(root))
        return err_set(err, -EBADMSG, "it is no JSON object");
    ret_state->batch = store_batch_new();
    r.jobs = json_get(root, "jobs");
    r.items = mem_calloc(OLDSTATE_MESSAGES_MAX, sizeof(struct task *));
    read_all(&r, root, runner);
    for (size_t i = 0; i < r.len; i++)
        task_free(r.items[i]);
    free(r.items);
    strv_done(&r.lost);
    return 0;
}

void oldstate_done(struct oldstate *s)
{
    store_batch_free(s->batch);
    *s = (struct oldstate){ 0 };
}
