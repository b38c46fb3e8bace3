/* parcel.h - the answer to the download of an attachment, read as it comes: {"id","data"} with the
 * file as base64 in data. Nothing of the file is kept: it goes on decoded. Pure.
 * Source: Nairi agents API, endpoint 4; the public API's answer has a "filename", too. Untrusted:
 * members in any order, unknown ones, escapes and white space are read as RFC 8259 has them. An
 * empty file is none. */
#pragma once
#include "util/base64.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum { PARCEL_ID_MAX = 128, PARCEL_NAME_MAX = 255 };

/* Some bytes of the file. A negative errno ends it. */
typedef int (*parcel_fn)(const void *bytes, size_t len, void *ctx);

/* A value of parcel_init(); its members are the parser's own. */
struct parcel {
    parcel_fn fn;
    void *ctx;
    uint64_t bytes, max_bytes; /* of the file */
    unsigned state, role;
    uint64_t arrays; /* bit n: what is open at depth n is an array, else an object */
    unsigned depth;
    bool has_data;
    struct base64 base64;
    char word[PARCEL_NAME_MAX + 1]; /* a key, an id, a number, ...; what is longer is none */
    size_t word_len;
    char id[PARCEL_ID_MAX + 1];     /* what the answer is said to be; "" where it isn't */
    char name[PARCEL_NAME_MAX + 1]; /* what the file is said to be called; "" where it isn't */
    unsigned hex_digits;
    uint32_t hex;
};

void parcel_init(struct parcel *p, uint64_t max_bytes, parcel_fn fn, void *ctx);
/* 0, or with a sentence: -EBADMSG, it is no such answer, which something between us and the server
 * may be to blame for; -EILSEQ, data is no base64; -EFBIG, it is larger than max_bytes; or what fn
 * said, without one. After that the parser is of no use. */
int parcel_feed(struct parcel *p, const char *s, size_t len, struct err *err);
/* At the end of the answer: 0, -EBADMSG where it isn't whole, or -ENODATA: there is no file in it.
 */
int parcel_end(const struct parcel *p, struct err *err);
