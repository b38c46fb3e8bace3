/* hub.h - the running hub: requests become calls, calls are carried out by the storage, answers go
 * back; long polls wait, leases end.
 * One thread for HTTP and timers (the loop), one for the database (storage.h). */
#pragma once
#include "hub/chore.h"
#include "hub/server.h"
#include "util/cleanup.h"
#include <stdint.h>

struct cipher;
struct db;
struct err;
struct hub;
struct loop;

struct hub_settings {
    struct server_limits limits;
    uint64_t attachment_max;  /* bytes of an attachment */
    uint64_t agent_files_max; /* of what one agent has uploaded, together; up to INT64_MAX */
    uint64_t keep_free;       /* bytes of the disk that attachments leave alone */
    struct chore_settings chores;
    uint64_t check_idle_ms; /* between questions for idle jobs to one instance; 0: never */
};
extern const struct hub_settings hub_settings_default;

/* path: the database's, beside which the attachments lie. Takes ownership of db and listen_fd, also
 * on failure. cipher is borrowed for as long as the hub lives. */
int hub_new(struct loop *loop, struct db *db, const struct cipher *cipher, const char *path,
            int listen_fd, const struct hub_settings *settings, struct hub **ret_hub,
            struct err *err);
/* Goes on as long as somebody is about to come for an answer (lookout.h), LOOKOUT_MS and
 * LOOKOUT_REPLY_MS at most; then, or when it is called again, accepts nothing more, answers what
 * waits, and stops the loop when all answers are out, after HUB_STOP_MS at the latest. */
void hub_stop(struct hub *h);
void hub_free(struct hub *h);
DEFINE_CLEANUP(struct hub *, hub_free);

enum { HUB_STOP_MS = 3000 };
