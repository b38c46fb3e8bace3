/* exhibit.h - what an attempt is shown of the artifacts: where its runner's program looks for
 * rules, skills and MCP servers, and what a set has for those places. Touches no file. */
#pragma once
#include "sandbox/plan.h"
#include <stdbool.h>
#include <stddef.h>

struct json;
struct manifest;
struct runner;
struct settings;
struct shelf_set;

enum { EXHIBIT_FOLDERS = 2, EXHIBIT_MAX = EXHIBIT_FOLDERS + 1 };

/* What there is, and for what it has to be fit. Borrowed. */
struct exhibit_stock {
    const struct settings *settings;
    enum plan_rung rung;             /* on which tasks are started */
    const char *gateway;             /* of policy_gateway() */
    struct shelf_set *set;           /* NULL: none, and only empty places for what is to come */
    const struct manifest *manifest; /* of the set */
};

struct exhibit {
    struct shelf_set *set; /* from which it is, whoever holds that; NULL: none */
    struct plan_shown shown[EXHIBIT_MAX];
    size_t count;
    char *inside[EXHIBIT_FOLDERS]; /* to which shown points */
    bool has_mcp;                  /* MCP servers are among it */
};

/* Of the stock only the set is borrowed for longer than the call. */
void exhibit_make(const struct exhibit_stock *stock, const struct runner *runner,
                  struct exhibit *ret_exhibit);
/* The set is left alone. */
void exhibit_done(struct exhibit *e);
/* Adds sentences to a list: what is there and isn't given to tasks, as the settings' runner has no
 * place for it. That the runner command gets variables only is no surprise. */
void exhibit_find_unfit(const struct exhibit_stock *stock, struct json *list);
