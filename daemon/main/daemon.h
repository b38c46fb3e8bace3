/* daemon.h - what one `nairid run` consists of, and how its parts are joined. Only main/ includes
 * this. Events go to the core by wire_run(); its commands are carried out at the end of the loop
 * turn, the storing ones first (wire.c). Callbacks of adapters only translate. */
#pragma once
#include "core/core.h"
#include "core/turn.h"
#include "main/args.h"
#include "settings/agentkey.h"
#include "settings/settings.h"
#include "spawner/spawner.h"
#include "upstream/upstream.h"

struct attempts;
struct control;
struct http;
struct json;
struct mask;
struct posts;
struct store_batch;

struct daemon {
    /* what the operator said */
    struct args args;
    struct options options; /* the flags of the command line */
    struct settings settings;
    struct agentkey key_from_env;
    struct agentkey key;
    struct mask *mask;
    char *program; /* the runner's, for messages */
    /* the edge */
    struct loop *loop;
    struct store *store;
    struct spawner *spawner;
    struct http *http;
    struct upstream *upstream;
    struct control *control;
    struct attempts *attempts;
    struct posts *posts;
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

/* wire.c */
void wire_run(struct daemon *d, const struct core_event *ev);
void wire_flush(struct daemon *d);               /* at the end of a turn */
void wire_stop(struct daemon *d, int exit_code); /* crash only: leave the loop at once */
struct core_options wire_options(const struct daemon *d);
int wire_start(struct daemon *d, struct err *err); /* timers, signals, first event */
void wire_done(struct daemon *d);

/* attempts.c: the shell side of running tasks */
struct attempts *attempts_new(struct daemon *d);
void attempts_free(struct attempts *a);
extern const struct spawner_ops attempts_ops; /* ctx: struct attempts */
void attempts_spawn(struct attempts *a, uint64_t seq);

/* posts.c: polls and posts */
struct posts *posts_new(struct daemon *d);
void posts_free(struct posts *p);
void posts_poll(struct posts *p, uint64_t seq, uint32_t wait_ms);
void posts_send(struct posts *p, uint64_t seq, enum core_post what);

/* admin.c: the verbs of the admin socket; ctx: struct daemon */
int admin_answer(const struct json *request, struct json *answer, struct err *err, void *ctx);

/* reload.c */
/* The first settings, the key and the mask into d. Takes over what *settings holds, on success
 * only; d->key_from_env in any case. */
int reload_first(struct daemon *d, struct settings *settings, struct err *err);
void reload(struct daemon *d); /* HUP */
/* One of runner.secrets as its file has it now; before anybody gets it, the mask knows it. */
int reload_secret(const struct daemon *d, const struct settings_pair *pair,
                  struct secret **ret_secret, struct err *err);

/* notify.c: the service manager's word, sd_notify(3) */
void notify_ready(const struct daemon *d);
void notify_stopping(void);
