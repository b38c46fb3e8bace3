#include "hub/presence.h"

#include <stdlib.h>
#include <string.h>

#include "hub/db.h"
#include "hub/lease.h"
#include "hub/storage.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum { PAYLOAD_MAX = 64 << 10 }; /* bytes; progress that is longer isn't looked into */

struct presence {
    struct model *model;
    int64_t *live; /* the agent of each live instance, in order */
    size_t count;
};

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return left < right ? -1 : left > right;
}

struct presence *presence_new(struct model *m)
{
    struct presence *p = mem_new(struct presence);

    p->model = m;
    p->live = mem_calloc(lease_count(m->leases) + 1, sizeof *p->live);
    p->count = lease_list_live(m->leases, m->now_ms, p->live);
    qsort(p->live, p->count, sizeof *p->live, compare);
    return p;
}

void presence_free(struct presence *p)
{
    if (!p)
        return;
    free(p->live);
    free(p);
}

/* How many of the live instances are of agents before this one. */
static size_t count_before(const struct presence *p, int64_t agent)
{
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->live[middle] < agent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* payload: as the daemon sent it. NULL if there is nothing to show. */
static struct json *shorten(const char *payload)
{
    static const char *const keys[] = { "progress_type", "tool_name", "tool_input",
                                        "tool_status",   "summary",   "text_delta" };
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct json *object;

    if (!payload || json_parse(payload, strlen(payload), &root, NULL) < 0)
        return NULL;
    object = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *text = json_get_str(root, keys[i]);
        char line[PRESENCE_TEXT_MAX + 1];

        if (!str_is_empty(text))
            json_add_str(object, keys[i], utf8_line(line, sizeof line, text));
    }
    return object;
}

static struct json *show(struct query *q)
{
    struct json *work = json_object();
    char since[32];

    json_add_str(work, "job_id", query_text(q, 0));
    json_add_str(work, "message_id", query_text(q, 1));
    json_add_str(work, "since", clock_rfc3339(since, query_i64(q, 2)));
    json_add(work, "progress", shorten(query_text(q, 3)));
    return work;
}

int presence_add(const struct presence *p, int64_t agent, struct json *object)
{
    size_t online = count_before(p, agent + 1) - count_before(p, agent);
    struct json *list = json_array();
    struct query *q = db_query(
        p->model->db,
        "SELECT j.id, m.id, m.updated_ms,"
        " (SELECT p.content FROM messages p WHERE p.reply_to = m.seq AND p.role = 'progress'"
        "  AND p.size <= ?2 ORDER BY p.seq DESC LIMIT 1)"
        " FROM messages m JOIN jobs j ON j.seq = m.job"
        " WHERE m.agent = ?1 AND m.acked = 0 AND m.given_to IS NOT NULL AND m.status = 'pending'"
        " ORDER BY m.seq LIMIT ?3",
        "iii", agent, (int64_t)PAYLOAD_MAX, (int64_t)PRESENCE_WORK_MAX);
    int rc;

    while ((rc = query_next(q)) > 0)
        json_push(list, show(q));
    query_end(q);
    json_add_i64(object, "instances_online", (int64_t)online);
    json_add(object, "working_on", list);
    return rc;
}
