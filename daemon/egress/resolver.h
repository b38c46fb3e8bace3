/* resolver.h - names to addresses on the loop, without threads and, once made, without any file but
 * /etc/hosts. Sole home of ares.h.
 * It asks what /etc/hosts and the name servers of /etc/resolv.conf say, for the name as it is: no
 * search list, no aliases. */
#pragma once
#include "util/cleanup.h"
#include <netinet/in.h>
#include <stddef.h>

struct err;
struct loop;
struct resolver;
struct resolver_query;

enum { RESOLVER_ADDRESSES_MAX = 16 };

union resolver_address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

struct resolver_answer {
    int error; /* 0, -ENOENT: no such name or no address, -ETIMEDOUT, -EHOSTUNREACH: other failures
                */
    size_t count;
    union resolver_address addresses[RESOLVER_ADDRESSES_MAX]; /* best first; their ports are 0 */
};

typedef void (*resolver_fn)(const struct resolver_answer *answer, void *ctx);

/* Reads /etc/resolv.conf: before files are closed to us. */
int resolver_new(struct loop *loop, struct resolver **ret_resolver, struct err *err);
/* No query may be under way. */
void resolver_free(struct resolver *r);
DEFINE_CLEANUP(struct resolver *, resolver_free);

/* fn is called once, from the loop and never from here. */
struct resolver_query *resolver_ask(struct resolver *r, const char *name, resolver_fn fn,
                                    void *ctx);
/* fn is not called any more. Not after it was. */
void resolver_forget(struct resolver_query *q);
