/* luggage.h - the files that a person sends along with a question: opened before anything is asked,
 * then uploaded one after the other. */
#pragma once
#include "util/cleanup.h"
#include "util/strv.h"
#include <stdbool.h>
#include <stddef.h>

struct err;
struct json;
struct luggage;
struct publicapi;
struct publicapi_answer;

/* -EINVAL and others with a sentence: each must be a regular file with something in it. NULL in
 * *ret_luggage where there are no paths. */
int luggage_open(const struct strv *paths, struct luggage **ret_luggage, struct err *err);
void luggage_free(struct luggage *l);
DEFINE_CLEANUP(struct luggage *, luggage_free);

/* Whether all have an id. NULL: there are none. */
bool luggage_is_sent(const struct luggage *l);
/* Uploads the next one; fn gets the answer, which is then for luggage_take(). */
void luggage_send(struct luggage *l, struct publicapi *api,
                  void (*fn)(const struct publicapi_answer *answer, void *ctx), void *ctx);
/* The id that the server gave it. -EBADMSG where the answer has none. */
int luggage_take(struct luggage *l, const struct json *answer);
/* The name of the file that is being sent, for sentences. */
const char *luggage_name(const struct luggage *l);
/* Adds "attachment_ids" to a request, if there are any. */
void luggage_add_ids(const struct luggage *l, struct json *request);
