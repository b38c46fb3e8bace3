#include "task/attached.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

enum { VALUES_MAX = 2000000 }; /* as in a listing, which a payload is a part of */

static bool is_id(const char *s)
{
    size_t len = s ? strnlen(s, ATTACHED_ID_MAX + 1) : 0;

    if (len == 0 || len > ATTACHED_ID_MAX || str_eq(s, ".") || str_eq(s, ".."))
        return false;
    for (size_t i = 0; i < len; i++)
        if (s[i] <= ' ' || s[i] > '~' || s[i] == '/')
            return false;
    return true;
}

/* Of the message itself or of an earlier one. */
static int add_list(struct attached *a, const struct json *message, size_t earlier, struct err *err)
{
    const struct json *list = json_get(message, "attachments");

    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return err_set(err, -EINVAL, "the message's attachments are not a list");
    for (const struct json *node = json_first(list); node; node = json_next(node)) {
        const char *id = json_get_str(node, "attachment_id");

        if (!is_id(id))
            return err_set(err, -EINVAL, "an attachment of the message has no usable id");
        if (a->len == ATTACHED_MAX)
            return err_set(err, -E2BIG,
                           "the message has more than %d attachments: send fewer with each message",
                           ATTACHED_MAX);
        a->items = mem_realloc(a->items, (a->len + 1) * sizeof a->items[0]);
        a->items[a->len++] = (struct attached_item){ .id = mem_strdup(id), .earlier = earlier };
    }
    return 0;
}

int attached_parse(const char *payload, bool with_earlier, struct attached *ret_attached,
                   struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    CLEANUP(attached_done) struct attached a = { 0 };
    const struct json *earlier;
    size_t number = 0;
    int r;

    if (!payload || json_parse_light(payload, strlen(payload), VALUES_MAX, &root, NULL) < 0)
        return 0;
    r = add_list(&a, root, 0, err);
    earlier = with_earlier ? json_get(root, "previous_messages") : NULL;
    if (json_is_array(earlier))
        for (const struct json *m = json_first(earlier); m && r == 0; m = json_next(m))
            r = add_list(&a, m, ++number, err);
    if (r < 0)
        return r;
    *ret_attached = a;
    a = (struct attached){ 0 };
    return 0;
}

void attached_done(struct attached *a)
{
    for (size_t i = 0; i < a->len; i++) {
        free(a->items[i].id);
        free(a->items[i].path);
    }
    free(a->items);
    *a = (struct attached){ 0 };
}
