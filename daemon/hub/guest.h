/* guest.h - the server's connections: whose turn it is, how long clients may take, and who has to
 * go where there is no place.
 * While the turn is the client's (to send a request, to take an answer) it has a deadline; past
 * that, or once it has left, its socket is shut down, and the owner of the socket sees the end of
 * the stream. Whoever nobody vouched for keeps no one out: when all places are taken, the stranger
 * whose turn it has been for longest makes place. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stdint.h>

struct guest;
struct guest_list;
struct loop;
struct server_request;

/* places: how many guests there may be. */
struct guest_list *guest_list_new(struct loop *loop, unsigned places);
/* Must be empty. */
void guest_list_free(struct guest_list *list);
DEFINE_CLEANUP(struct guest_list *, guest_list_free);

/* fd: its socket, borrowed. It has max_ms to send its request. */
struct guest *guest_new(struct guest_list *list, int fd, uint32_t max_ms);
void guest_free(struct guest *g);
/* The next one; NULL: the first, or that there are no more. */
struct guest *guest_next(const struct guest_list *list, const struct guest *after);

void guest_await(struct guest *g, uint32_t max_ms); /* its request is waited for */
void guest_serve(struct guest *g, uint32_t max_ms); /* it has that long to take its answer */
void guest_keep(struct guest *g);                   /* the turn is ours */
void guest_trust(struct guest *g);                  /* it has shown who it is */
/* Whether its request is waited for. */
bool guest_is_awaited(const struct guest *g);
/* Whether the client has closed its end, and sent nothing before that which wasn't read. */
bool guest_has_left(const struct guest *g);
int guest_fd(const struct guest *g);

/* The request that is held, of the owner's; NULL: none. */
struct server_request *guest_held(const struct guest *g);
void guest_set_held(struct guest *g, struct server_request *r);
