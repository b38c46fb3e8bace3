/* body.h - how far the body of a request goes, by what its head announced. Pure, a plain value. */
#pragma once
#include "egress/chunked.h"
#include "egress/head.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct body {
    enum head_body kind;
    uint64_t left; /* of HEAD_LENGTH */
    struct chunked chunked;
};

/* bytes: how many were announced, for HEAD_LENGTH. */
struct body body_of(enum head_body kind, uint64_t bytes);
/* How many of the next bytes belong to it; then *ret_ended says whether that is all. -EBADMSG if
 * they are no body. */
ssize_t body_accept(struct body *b, const char *bytes, size_t len, bool *ret_ended);
