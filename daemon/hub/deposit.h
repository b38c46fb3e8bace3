/* deposit.h - one upload: from the multipart form of a request to a file of the depot.
 * Takes the request's body as it comes, and holds the request while the disk is behind, so that an
 * upload has DEPOSIT_PIECE of memory whatever its size. The form has one part of the name "file";
 * others are skipped. What goes wrong on the way is told at the end, once the client listens. */
#pragma once
#include "hub/depot.h"
#include "util/cleanup.h"
#include "util/ulid.h"
#include <stddef.h>
#include <stdint.h>

struct deposit;
struct server_request;

enum {
    DEPOSIT_PIECE = 64 << 10,    /* bytes that go to the disk at a time */
    DEPOSIT_NAME_MAX = 255,      /* of a file's name */
    DEPOSIT_FORM_MAX = 64 << 10, /* of what is around the file */
};

/* What has been deposited. */
struct deposit_file {
    char id[ULID_ID_MAX];
    char *name; /* made harmless: one line of UTF-8 without a path */
    int64_t size;
};

/* The file is on disk under its name: status 0; or an answer's status, and why. */
typedef void (*deposit_end_fn)(unsigned status, const char *why, void *ctx);

/* id: of the file to be. max: its bytes at most. content_type: the request's, may be NULL. */
struct deposit *deposit_new(struct depot *depot, struct server_request *r, const char *content_type,
                            const char *id, uint64_t max);
/* Bytes of the body. May hold the request. */
void deposit_take(struct deposit *d, const char *bytes, size_t len);
/* All of the body is here: ends with `end`, now or later. */
void deposit_finish(struct deposit *d, deposit_end_fn end, void *ctx);
const struct deposit_file *deposit_look(const struct deposit *d);
/* It has a row now, and stays. */
void deposit_keep(struct deposit *d);
/* The request is gone, or answered: what isn't kept is removed. `end` isn't called any more. */
void deposit_free(struct deposit *d);
DEFINE_CLEANUP(struct deposit *, deposit_free);

/* A file's name as others may see it: the last part of a path, on one line, without control
 * characters, of DEPOSIT_NAME_MAX bytes at most; "file" where nothing is left. To be freed. */
char *deposit_clean_name(const char *name);
