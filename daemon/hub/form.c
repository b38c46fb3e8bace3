#include "hub/form.h"

#include <errno.h>
#include <string.h>

#include "hub/call.h"
#include "util/json.h"

int form_text(struct call *c, const struct json *body, const char *key, enum form_need need,
              size_t max, const char **ret_text)
{
    const struct json *member = json_get(body, key);
    const char *text = json_str(member);

    if (need == FORM_CLEARABLE && json_is_null(member)) {
        *ret_text = NULL;
        return 1;
    }
    if (need >= FORM_OPTIONAL && (!member || json_is_null(member)))
        return 1;
    if (!text && need >= FORM_OPTIONAL)
        return call_refuse(c, 400, "%s must be a string or null", key);
    if (!text || (need == FORM_REQUIRED && text[0] == '\0'))
        return call_refuse(c, 400, "%s is required, and must be a string%s", key,
                           need == FORM_REQUIRED ? " of at least one byte" : "");
    if (strlen(text) > max)
        return call_refuse(c, 400, "%s is longer than %zu bytes", key, max);
    *ret_text = text;
    return 1;
}

int form_bool(struct call *c, const struct json *body, const char *key, bool *ret_value)
{
    int rc = json_get_bool(body, key, ret_value);

    if (rc < 0 && rc != -ENOENT)
        return call_refuse(c, 400, "%s must be true or false", key);
    return 1;
}
