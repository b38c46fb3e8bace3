/* delivery.h - one download: a file of the depot as base64 in a JSON answer, made as it goes.
 * It has two blocks of DELIVERY_PIECE in memory whatever the file's size. */
#pragma once
#include "hub/depot.h"
#include <stdint.h>

struct server_request;
struct server_source;

enum { DELIVERY_PIECE = 48 << 10 }; /* bytes of the file read at a time; divisible by three */

/* The file is open and its beginning read: status 0, and *source answers the request (it frees the
 * delivery); or an answer's status, and why. */
typedef void (*delivery_ready_fn)(unsigned status, const char *why,
                                  const struct server_source *source, void *ctx);

/* Opens the file of that attachment and ends with `ready`, later. head: the answer's JSON object
 * without the member "data", and not empty. size: what the file must have. r: the request that
 * will be answered from the source. */
void delivery_start(struct depot *depot, struct server_request *r, const char *id, int64_t size,
                    const char *head, delivery_ready_fn ready, void *ctx);
