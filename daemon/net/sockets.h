/* sockets.h - the sockets that curl opened for us, to look at one before it is used again.
 * Internal to net/. HTTP/1.1 has nothing that tells which request an answer is for, and libcurl
 * 7.88 takes whatever lies unread on a kept connection for the start of the next answer: a server
 * or proxy that answers once too often would say yes to a request that nobody has seen. */
#pragma once
#include <curl/curl.h>
#include <stdbool.h>

#include "util/cleanup.h"

struct sockets;

/* Of one handle; the caller's, and must outlive it. curl doesn't tell why a socket wasn't made. */
struct sockets_user {
    struct sockets *sockets;
    int error; /* errno of the last socket that couldn't be made, 0: none */
};

struct sockets *sockets_new(void);
/* From now on the handle opens and closes its connections through s, which must outlive them. */
bool sockets_attach(struct sockets *s, CURL *easy, struct sockets_user *user);
/* Whether something lies unread, or an end of stream, on a socket with that local port. Between
 * requests nothing should. */
bool sockets_has_unread(const struct sockets *s, int local_port);
/* Whether one could be made now: 0, or the errno. For where a library doesn't tell. */
int sockets_try(void);
void sockets_free(struct sockets *s);
DEFINE_CLEANUP(struct sockets *, sockets_free);
