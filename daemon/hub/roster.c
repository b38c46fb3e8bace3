#include "hub/roster.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/call.h"
#include "hub/db.h"
#include "hub/rows.h"
#include "hub/standing.h"
#include "hub/storage.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum sort { CREATED_DESC, CREATED_ASC, UPDATED_ASC, UPDATED_DESC, SORT_COUNT };

/* What the call asks for. */
struct question {
    struct buf statuses; /* ",active,error,"; empty: all */
    int64_t updated_after_ms;
    enum sort sort;
    struct rows_page page;
};

/* ?1 the agent (0: all), ?2 statuses, ?3 updated_after, ?4 limit, ?5 offset. Each text stands for
 * itself, so that each order finds its index. */
#define SELECT(AGENT, ORDER)                                                                       \
    "SELECT j.id, a.id, j.status, j.mode, j.created_ms, j.updated_ms,"                             \
    " (SELECT substr(content, 1, 200) FROM messages m WHERE m.job = j.seq ORDER BY m.seq LIMIT 1)" \
    " FROM jobs j JOIN agents a ON a.seq = j.agent WHERE " AGENT                                   \
    " AND (?2 = '' OR instr(?2, ',' || j.status || ',') > 0) AND j.updated_ms > ?3"                \
    " ORDER BY " ORDER " LIMIT ?4 OFFSET ?5"
#define SELECTS(ORDER)                                                                             \
    {                                                                                              \
        SELECT("?1 = 0", ORDER), SELECT("j.agent = ?1", ORDER)                                     \
    }

static const struct order {
    const char *name;
    const char *sql[2]; /* of all, of one agent */
} orders[SORT_COUNT] = {
    [CREATED_DESC] = { "created_at_desc", SELECTS("j.created_ms DESC, j.seq DESC") },
    [CREATED_ASC] = { "created_at_asc", SELECTS("j.created_ms, j.seq") },
    [UPDATED_ASC] = { "updated_at_asc", SELECTS("j.updated_ms, j.seq") },
    [UPDATED_DESC] = { "updated_at_desc", SELECTS("j.updated_ms DESC, j.seq DESC") },
};

/* ---- the query: 1, or 0 and c is refused ---- */

static int take_statuses(struct call *c, struct question *ret_question)
{
    const char *s = c->arguments[CALL_STATUS];
    struct buf *b = &ret_question->statuses;

    for (size_t len; s; s = s[len] == ',' ? s + len + 1 : NULL) {
        AUTO_FREE char *name = NULL;
        enum standing standing;

        len = strcspn(s, ",");
        name = mem_strndup(s, len);
        if (standing_parse(name, &standing) < 0)
            return call_refuse(c, 400,
                               "status: '%s' is none of active, completed, error, abandoned", name);
        if (!strstr(buf_str(b), name)) /* no name is a part of another one */
            buf_printf(b, "%s%s,", b->len == 0 ? "," : "", name);
    }
    return 1;
}

static int take_sort(struct call *c, struct question *ret_question)
{
    const char *name = c->arguments[CALL_SORT];

    for (size_t i = 0; name && i < SORT_COUNT; i++) {
        if (!str_eq(name, orders[i].name))
            continue;
        ret_question->sort = (enum sort)i;
        return 1;
    }
    return !name || call_refuse(c, 400,
                                "sort: '%s' is none of created_at_desc, created_at_asc, "
                                "updated_at_desc, updated_at_asc",
                                name);
}

static int take_question(struct call *c, struct question *ret_question)
{
    const char *after = c->arguments[CALL_UPDATED_AFTER];

    *ret_question = (struct question){ .updated_after_ms = INT64_MIN };
    if (after && clock_parse_rfc3339(after, &ret_question->updated_after_ms) < 0)
        return call_refuse(c, 400,
                           "updated_after: '%s' is no time of RFC 3339, such as "
                           "2026-01-02T03:04:05Z",
                           after);
    return take_sort(c, ret_question) && rows_take_page(c, ROSTER_LIMIT, &ret_question->page) &&
           take_statuses(c, ret_question);
}

/* ---- the answer ---- */

static struct json *show(struct query *q)
{
    struct json *object = json_object();
    char text[32], title[ROSTER_TITLE_MAX + 1] = "";

    if (!query_is_null(q, 6))
        utf8_line(title, sizeof title, query_text(q, 6));
    json_add_str(object, "id", query_text(q, 0));
    json_add_str(object, "agent_id", query_text(q, 1));
    json_add_str(object, "status", query_text(q, 2));
    json_add_str(object, "mode", query_text(q, 3));
    json_add_str(object, "title", title);
    json_add_str(object, "created_at", clock_rfc3339(text, query_i64(q, 4)));
    json_add_str(object, "updated_at", clock_rfc3339(text, query_i64(q, 5)));
    return object;
}

static int reply_list(struct call *c, struct model *m, int64_t agent, const struct question *what)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();
    struct json *list = json_array();
    struct query *q = db_query(m->db, orders[what->sort].sql[agent != 0], "itiii", agent,
                               buf_str(&what->statuses), what->updated_after_ms,
                               what->page.limit + 1, what->page.offset);
    int64_t count = 0;
    int rc;

    while ((rc = query_next(q)) > 0 && count < what->page.limit) {
        json_push(list, show(q));
        count++;
    }
    query_end(q);
    json_add(root, "conversations", list);
    if (rc > 0)
        json_add_bool(root, "more", true);
    return rc < 0 ? rc : call_reply(c, 200, TAKE_PTR(root));
}

static int reply_asked(struct call *c, struct model *m, int64_t agent)
{
    struct question what;
    int rc = take_question(c, &what);

    rc = rc > 0 ? reply_list(c, m, agent, &what) : rc;
    buf_done(&what.statuses);
    return rc;
}

int roster_list(struct call *c, struct model *m)
{
    return reply_asked(c, m, 0);
}

int roster_list_of_agent(struct call *c, struct model *m)
{
    int64_t agent;
    int rc = agent_find_target(c, m, &agent);

    return rc <= 0 ? rc : reply_asked(c, m, agent);
}
