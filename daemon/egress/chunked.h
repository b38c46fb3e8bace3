/* chunked.h - where a chunked request body ends, read strictly: CRLF everywhere, sizes of at most
 * 15 hex digits, no extensions, no trailers. Pure, a plain value; { 0 } is at the beginning.
 * Source: RFC 9112 s7.1. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct chunked {
    unsigned state;
    unsigned digits;
    uint64_t left; /* of the chunk */
};

/* Looks at the next bytes. 1: the body is at its end after *ret_used of them; 0: all of them belong
 * to it and there is more to come; -EBADMSG: it isn't chunked as it should be. */
int chunked_scan(struct chunked *c, const char *bytes, size_t len, size_t *ret_used);
