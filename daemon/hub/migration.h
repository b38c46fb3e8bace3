/* migration.h - the hub's tables, and the steps from each version to the next.
 * The version stands in the file's user_version. Older ones are migrated, one transaction for all
 * steps; a newer one is refused, because what it means is unknown here. */
#pragma once

struct db;
struct err;

enum { MIGRATION_VERSION = 4 };

/* Brings the database to MIGRATION_VERSION. -ENOTSUP for a newer one, -EBADMSG for a file that has
 * tables but isn't ours or is damaged. */
int migration_run(struct db *db, const char *path, struct err *err);
