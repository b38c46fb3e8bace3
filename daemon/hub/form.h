/* form.h - members of a request's body, taken with their bounds. Each refuses the call with 400 and
 * a sentence that names the member. Texts are borrowed from the body. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct call;
struct json;

enum form_need {
    FORM_REQUIRED,  /* a string of at least one byte */
    FORM_ANY,       /* a string, which may be empty */
    FORM_OPTIONAL,  /* absent or null: *ret_text is left as it is */
    FORM_CLEARABLE, /* absent: left as it is; null: NULL */
};

/* A string of at most max bytes. 1, or 0 and c is refused. */
int form_text(struct call *c, const struct json *body, const char *key, enum form_need need,
              size_t max, const char **ret_text);
/* A bool; absent or null leaves *ret_value as it is. 1, or 0 and c is refused. */
int form_bool(struct call *c, const struct json *body, const char *key, bool *ret_value);
