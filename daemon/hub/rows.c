#include "hub/rows.h"

#include "hub/call.h"
#include "hub/db.h"
#include "util/json.h"

int rows_reply_all(struct call *c, struct query *q, rows_show_fn show)
{
    CLEANUP_PTR(json_free) struct json *list = json_array();
    int rc;

    while ((rc = query_next(q)) > 0)
        json_push(list, show(q));
    query_end(q);
    return rc < 0 ? rc : call_reply(c, 200, TAKE_PTR(list));
}

int rows_reply_one(struct call *c, unsigned status, struct query *q, rows_show_fn show,
                   const char *noun, const char *id)
{
    int rc = query_next(q);

    if (rc > 0)
        rc = call_reply(c, status, show(q));
    else if (rc == 0)
        rc = call_refuse(c, 404, "%s not found: %s", noun, id);
    query_end(q);
    return rc;
}
