/* petition.h - from a request of HTTP to a call: its path's parts, its query and its headers, and
 * what is refused before anything is looked up. */
#pragma once
#include <stddef.h>

struct call;
struct route_match;
struct server_header;
struct server_request;

/* Takes the texts of *match, which has a route. NULL: the request has been refused. */
struct call *petition_call(struct server_request *r, struct route_match *match);
/* Answers with {"error": TEXT}; headers may be NULL. */
void petition_refuse(struct server_request *r, unsigned status, const char *text,
                     const struct server_header *headers);
