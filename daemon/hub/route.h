/* route.h - which handler answers which method and path. Pure.
 * A path's {id} stands for one segment, {agent} for one or more (slugs contain slashes). What they
 * stand for is percent-decoded, and refused if that gives a NUL or invalid UTF-8. The first row
 * that matches path and method counts: "/agents/x/env-vars" is about the env vars of x, and an
 * agent whose slug ends so is named by its id, or with "%2F". */
#pragma once
#include "hub/key.h"
#include <stdbool.h>
#include <stddef.h>

struct call;
struct model;

struct route {
    const char *method;
    const char *path;
    enum key_kind key;
    int (*handler)(struct call *c, struct model *m);
};

enum route_result {
    ROUTE_FOUND,
    ROUTE_NO_PATH,   /* 404 */
    ROUTE_NO_METHOD, /* 405 */
    ROUTE_BAD_PATH   /* 400 */
};

enum { ROUTE_ALLOW_MAX = 64 };

struct route_match {
    const struct route *route;   /* ROUTE_FOUND */
    char *target;                /* decoded, to be freed; NULL if the path has no {...} */
    char *item;                  /* the same for a second {...} */
    char allow[ROUTE_ALLOW_MAX]; /* ROUTE_NO_METHOD: "GET, PATCH" */
};

/* Whether the body of a request to it is an upload (deposit.h). */
bool route_is_upload(const struct route *route);

/* Percent-decoded; to be freed. NULL for what can't be decoded, has a NUL or isn't UTF-8. */
char *route_decode(const char *s, size_t len);

/* path: undecoded, without the query. *ret_match is set in any case, its texts only for
 * ROUTE_FOUND. */
enum route_result route_find(const char *method, const char *path, struct route_match *ret_match);
