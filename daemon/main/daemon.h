/* daemon.h - what one `nairid run` consists of. Only main/ includes this; run.c makes and ends it,
 * wire.h joins its parts. */
#pragma once
#include "main/args.h"
#include "sandbox/plan.h"
#include "settings/agentkey.h"
#include "settings/settings.h"
#include <stdint.h>

struct attempts;
struct control;
struct core;
struct downloads;
struct envwatch;
struct http;
struct joblog;
struct loop;
struct mask;
struct posts;
struct provisions;
struct pushes;
struct spawner;
struct store;
struct store_batch;
struct surveys;
struct tenants;
struct turn;
struct uploads;
struct upstream;

struct daemon {
    /* what the operator said */
    struct args args;
    struct options options; /* the flags of the command line */
    struct settings settings;
    struct agentkey key_from_env;
    struct agentkey key;
    struct mask *mask;
    struct plan_ground ground; /* of tasks' plans; found at the start */
    char *program;             /* the runner's, for messages */
    /* the edge */
    struct loop *loop;
    struct store *store;
    struct spawner *spawner;
    struct http *http;
    struct upstream *upstream;
    struct control *control;
    struct envwatch *envwatch;
    struct attempts *attempts;
    struct downloads *downloads; /* NULL: nothing has been fetched yet */
    struct surveys *surveys;
    struct uploads *uploads;
    struct tenants *tenants; /* of the jobs' uids */
    struct posts *posts;
    struct provisions *provisions;
    struct pushes *pushes;
    struct joblog *joblog;
    struct loop_signal *signals[6];
    struct loop_timer *tick, *sweep;
    struct loop_turn *turn_end;
    /* the core, and what waits for the disk */
    struct core *core;
    struct turn *turn;
    struct store_batch *batch; /* of the turns since the last submit */
    uint64_t batch_id;
    uint64_t started_ms;
    int exit_code;
};
