/* home.h - where the hub's database lies, and who may use it.
 * Directories that are made here are 0700; the file itself is made 0600 (db.h). */
#pragma once

struct db;
struct err;

/* path, or where it is NULL: $STATE_DIRECTORY/hub.db, $XDG_STATE_HOME/nairi-hub/hub.db,
 * /var/lib/nairi-hub/hub.db for root, ~/.local/state/nairi-hub/hub.db. To be freed; NULL and err if
 * there is no home at all. */
char *home_path(const char *path, struct err *err);
/* Makes the directories above it that are missing. */
int home_make(const char *path, struct err *err);
/* The lock of the one hub that serves this database; held while the descriptor is open. -EBUSY if
 * another has it. */
int home_lock(const char *path, int *ret_fd, struct err *err);
/* home_make(), db_open() and migration_run() in one. */
int home_open(const char *path, struct db **ret_db, struct err *err);
