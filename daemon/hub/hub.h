/* hub.h - the running hub: requests become calls, calls are carried out by the storage, answers go
 * back; long polls wait, leases end.
 * One thread for HTTP and timers (the loop), one for the database (storage.h). */
#pragma once
#include "util/cleanup.h"

struct cipher;
struct db;
struct err;
struct hub;
struct loop;
struct server_limits;

/* Takes ownership of db and listen_fd, also on failure. cipher is borrowed for as long as the hub
 * lives. */
int hub_new(struct loop *loop, struct db *db, const struct cipher *cipher, int listen_fd,
            const struct server_limits *limits, struct hub **ret_hub, struct err *err);
/* Accepts nothing more, answers what waits, and stops the loop when all answers are out, after
 * HUB_STOP_MS at the latest. */
void hub_stop(struct hub *h);
void hub_free(struct hub *h);
DEFINE_CLEANUP(struct hub *, hub_free);

enum { HUB_STOP_MS = 3000 };
