/* instance.h - the journal's own id, under which its daemon is known to the server. For store/
 * only. */
#pragma once
#include "util/ulid.h"
#include <sqlite3.h>
#include <stdbool.h>

struct err;

/* The one that the journal has ("ccaid_" ULID); *ret_id stays as it is where there is none. */
int instance_read(sqlite3 *db, const char *path, char ret_id[ULID_ID_MAX], struct err *err);
/* A new one. */
int instance_make(sqlite3 *db, const char *path, char ret_id[ULID_ID_MAX], struct err *err);
/* See store_bind(): id becomes a new one where the journal was bound to another machine. */
int instance_bind(sqlite3 *db, const char *path, const char *machine, char id[ULID_ID_MAX],
                  bool *ret_moved, struct err *err);
