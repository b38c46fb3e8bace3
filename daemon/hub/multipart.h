/* multipart.h - the parts of a multipart/form-data body, as they come. Pure.
 * Takes the body in pieces of any size and keeps none of it but the head of the part it is in
 * (bounded) and a beginning of a delimiter. What is before the first delimiter and behind the last
 * is skipped. Transfer encodings, nested multiparts and charsets of fields are not known here, as
 * forms don't use them.
 * Source: RFC 7578; RFC 2046 s5.1.1 for the delimiters; RFC 8187 for filename*, which some clients
 * send for names that aren't ASCII. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>

struct multipart;

enum {
    MULTIPART_BOUNDARY_MAX = 70,
    MULTIPART_HEAD_MAX = 4096, /* bytes of the header lines of one part */
    MULTIPART_PARTS_MAX = 16,
};

struct multipart_ops {
    /* A part begins. name: "" if it has none; filename: NULL if it has none. As they came, though
     * unquoted and without NULs; they may be anything. 0, or a negative errno to be passed on. */
    int (*begin)(const char *name, const char *filename, void *ctx);
    /* Bytes of the part that began last; len > 0. The same. */
    int (*data)(const char *bytes, size_t len, void *ctx);
};

/* content_type: the header's value, may be NULL. NULL if it isn't multipart/form-data with a
 * boundary. ops is borrowed. */
struct multipart *multipart_new(const char *content_type, const struct multipart_ops *ops,
                                void *ctx);
/* The next bytes. 0; -EBADMSG: not of the form, *ret_why says how; or what a callback returned.
 * After a failure nothing more may be given. */
int multipart_feed(struct multipart *p, const char *bytes, size_t len, const char **ret_why);
/* At the end of the body: 0, or -EBADMSG if the last delimiter is missing. */
int multipart_finish(const struct multipart *p, const char **ret_why);
void multipart_free(struct multipart *p);
DEFINE_CLEANUP(struct multipart *, multipart_free);
