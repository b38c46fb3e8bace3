#include "hub/rows.h"

#include "hub/call.h"
#include "hub/db.h"
#include "util/json.h"
#include "util/str.h"

static int take_number(struct call *c, enum call_argument argument, uint64_t min, uint64_t max,
                       int64_t *n)
{
    const char *text = c->arguments[argument];
    uint64_t value;

    if (!text)
        return 1;
    if (str_to_u64(text, max, &value) < 0 || value < min)
        return call_refuse(c, 400, "%s: want a whole number from %d to %d, not '%s'",
                           call_argument_name(argument), (int)min, (int)max, text);
    *n = (int64_t)value;
    return 1;
}

int rows_take_page(struct call *c, int64_t limit, struct rows_page *ret_page)
{
    *ret_page = (struct rows_page){ .limit = limit };
    return take_number(c, CALL_LIMIT, 1, ROWS_LIMIT_MAX, &ret_page->limit) &&
           take_number(c, CALL_OFFSET, 0, ROWS_OFFSET_MAX, &ret_page->offset);
}

static int show_one(const struct rows *r, struct query *q, struct json **ret_object)
{
    CLEANUP_PTR(json_free) struct json *object = NULL;
    int rc = r->show(r, q, &object);

    if (rc > 0)
        *ret_object = TAKE_PTR(object);
    return rc;
}

int rows_reply_page(const struct rows *r, const struct rows_page *page, struct query *q)
{
    CLEANUP_PTR(json_free) struct json *list = json_array();
    int64_t count = 0;
    size_t bytes = 0;
    int rc, shown = 1;

    while (shown > 0 && (rc = query_next(q)) > 0) {
        struct json *object = NULL;

        bytes += query_size(q);
        if (count == page->limit || (count > 0 && bytes > ROWS_BYTES_MAX))
            break;
        shown = show_one(r, q, &object);
        if (shown > 0)
            json_push(list, object);
        count++;
    }
    query_end(q);
    if (rc < 0 || shown <= 0)
        return rc < 0 ? rc : shown;
    if (rc > 0)
        r->call->more = (struct call_more){
            .limit = page->limit < ROWS_LIMIT_MAX ? page->limit : ROWS_LIMIT_MAX,
            .offset = page->offset + count,
        };
    return call_reply(r->call, 200, TAKE_PTR(list));
}

int rows_reply_one(const struct rows *r, unsigned status, struct query *q, const char *noun,
                   const char *id)
{
    struct json *object = NULL;
    int rc = query_next(q);

    if (rc > 0)
        rc = show_one(r, q, &object);
    else if (rc == 0)
        rc = call_refuse(r->call, 404, "%s not found%s%s", noun, id ? ": " : "", id ? id : "");
    query_end(q);
    return rc <= 0 ? rc : call_reply(r->call, status, object);
}
