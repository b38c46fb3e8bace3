/* reply.h - the head of an upstream's answer, and as the task gets it: one answer, after which the
 * connection ends, with the fields that say what the body is, when to try again and whom to ask
 * about it, and without any other, such as cookies or what is about that other connection. Pure.
 * Sources: RFC 9110 s7.6 and s15, RFC 9112 s4. */
#pragma once
#include "egress/head.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;

enum { REPLY_HEAD_MAX = 16 * 1024 };

/* Its length, and what the task gets of it appended to out: nothing for an interim one (1xx),
 * behind which another follows. 0 if its end isn't there yet. -EBADMSG if it is no answer, -ELOOP
 * for a redirect, -EMSGSIZE if it is too long. */
ssize_t reply_read(const char *bytes, size_t len, struct buf *out);
/* What a head that it appended says of its body, with *ret_bytes of HEAD_LENGTH. HEAD_NO_BODY:
 * nothing, or what can be read in two ways; it goes on to the end of the connection then. */
enum head_body reply_body(const char *head, size_t len, uint64_t *ret_bytes);
