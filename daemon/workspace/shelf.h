/* shelf.h - the artifacts that the control plane provides, on the daemon's disk, as tasks are shown
 * them: STATE/artifacts/SET/ with rules/FILE, skills/NAME/FILE, mcp.json, and manifest.json for us.
 * A set is filled beside the one in force and takes its place at once, by the name in the file
 * "current", so that whatever fails on the way leaves the old one as it was. A set that a task is
 * shown stays until that task has ended. Nothing in it is of the server's naming but what
 * task/crate.h and upstream/provision.h let pass; no file replaces another.
 * As root the directory is crossed by other users, the tasks: sets then have names that nobody can
 * guess. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct err;
struct shelf;
struct shelf_set;

enum shelf_part { SHELF_RULES, SHELF_SKILLS, SHELF_MCP, SHELF_PART_COUNT };

/* Finds the set in force; the directory is made with the first one. Leftovers are removed by
 * shelf_sweep(). */
int shelf_new(const char *state_dir, struct shelf **ret_shelf, struct err *err);
void shelf_free(struct shelf *s);
DEFINE_CLEANUP(struct shelf *, shelf_free);

/* ---- the set in force ---- */

/* NULL: there is none. It stays until it is released as often as it was held. */
struct shelf_set *shelf_hold(struct shelf *s);
void shelf_release(struct shelf *s, struct shelf_set *set); /* set may be NULL */
/* The host path of a part; NULL where the set has none. Borrowed from the set. */
const char *shelf_path(const struct shelf_set *set, enum shelf_part part);
/* The manifest of a state directory's set in force, whoever's it is; allocated. -ENOENT: there is
 * none. */
int shelf_manifest(const char *state_dir, char **ret_text, struct err *err);

/* ---- a new one ---- */

/* Begins it, empty; one that was begun and not finished is given up. */
int shelf_begin(struct shelf *s, struct err *err);
/* A whole file: rules/NAME, or where part is SHELF_MCP mcp.json. */
int shelf_add(struct shelf *s, enum shelf_part part, const char *name, const void *bytes,
              size_t len, struct err *err);
/* A file of the skill, to be written to; a path as task/crate.h has it. */
int shelf_open_file(struct shelf *s, const char *skill, const char *path, bool is_program,
                    struct err *err);
bool shelf_has(const struct shelf *s, enum shelf_part part, const char *name); /* as staged */
/* Takes away a skill that could not be completed. */
void shelf_drop_skill(struct shelf *s, const char *skill);
/* Writes the manifest and makes all durable: blocks, so it is for another thread, during which no
 * other function may be called. shelf_switch() then puts it in force. */
int shelf_finish(struct shelf *s, const char *manifest, struct err *err);
void shelf_switch(struct shelf *s);
void shelf_give_up(struct shelf *s);
/* Removes what nobody uses, so many entries at most; 1 where more is left. */
int shelf_sweep(struct shelf *s, size_t entries);
