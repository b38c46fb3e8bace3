/* locals.h - the machine's own addresses. Services that listen on all of them are behind each of
 * them, so that they count as loopback, whatever network they belong to. As they are when the task
 * begins. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>

struct err;
struct locals;
struct sockaddr;

/* Asks the kernel: before sockets of that kind are closed to us. */
int locals_new(struct locals **ret_locals, struct err *err);
void locals_free(struct locals *l);
DEFINE_CLEANUP(struct locals *, locals_free);
/* Also where an IPv6 address has one of IPv4 inside. */
bool locals_have(const struct locals *l, const struct sockaddr *address);
