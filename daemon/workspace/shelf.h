/* shelf.h - the artifacts that the control plane provides, on the daemon's disk, as tasks are shown
 * them: STATE/artifacts/SET/ with rules/FILE, skills/NAME/FILE, mcp.json, opencode.json (the same
 * for another program), codex.toml (for a third, with the rules), and manifest.json for us.
 * A set is filled beside the one in force (workspace/staging.h) and takes its place at once, by the
 * name in the file "current", so that whatever fails on the way leaves the old one as it was. A set
 * that a task is shown stays until that task has ended.
 * This is the side that hands sets out; but for shelf_new() and shelf_manifest() it touches no
 * file. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct err;
struct shelf;
struct shelf_set;
struct strv;

#define SHELF_FOLDER   "artifacts"
#define SHELF_CURRENT  "current"
#define SHELF_MANIFEST "manifest.json"
#define SHELF_PREFIX   "set-"

enum { SHELF_NAME_BYTES = 40 };

enum shelf_part {
    SHELF_RULES,
    SHELF_SKILLS,
    SHELF_MCP,          /* a file, of runner.h's RUNNER_MCP_COMMON */
    SHELF_MCP_OPENCODE, /* a file, of RUNNER_MCP_OPENCODE */
    SHELF_MCP_CODEX,    /* a file, of RUNNER_MCP_CODEX */
    SHELF_PART_COUNT
};

const char *shelf_part_name(enum shelf_part part); /* within a set */
bool shelf_is_set_name(const char *name);

/* Finds the set in force. Where that can't be told, or not all of it be seen, there is none, and
 * ret_doubt, which is cleared first, says why; the set of the next answer takes its place. */
struct shelf *shelf_new(const char *state_dir, struct err *ret_doubt);
void shelf_free(struct shelf *s);
DEFINE_CLEANUP(struct shelf *, shelf_free);

/* NULL: there is none. It stays until it is released as often as it was held. */
struct shelf_set *shelf_hold(struct shelf *s);
void shelf_release(struct shelf *s, struct shelf_set *set); /* set may be NULL */
/* The host path of a part; NULL where the set has none. Borrowed from the set. */
const char *shelf_path(const struct shelf_set *set, enum shelf_part part);
/* The manifest of a state directory's set in force, whoever's it is; allocated. -ENOENT: there is
 * none. */
int shelf_manifest(const char *state_dir, char **ret_text, struct err *err);
/* Puts a new set in force, which is on the disk as such. has: the parts that are in it. */
void shelf_switch(struct shelf *s, const char *name, const bool has[SHELF_PART_COUNT]);
/* Adds the names of the sets that are held or in force. */
void shelf_used(const struct shelf *s, struct strv *names);
