/* staging.h - a set of artifacts (workspace/shelf.h) that is being filled, and the removal of those
 * that nobody uses. All of it blocks: it is for one thread, which isn't the loop's.
 * Nothing in a set is of the server's naming but what task/crate.h and upstream/provision.h let
 * pass; no file replaces another. */
#pragma once
#include "util/cleanup.h"
#include "workspace/shelf.h"
#include <stdbool.h>
#include <stddef.h>

struct err;
struct staging;
struct strv;

/* Touches nothing. crossed: other users, the tasks, have to pass the directory to get to a set;
 * sets have names that nobody can guess. */
struct staging *staging_new(const char *state_dir, bool crossed);
void staging_free(struct staging *s); /* what was begun is swept away at the next start */
DEFINE_CLEANUP(struct staging *, staging_free);

/* Begins a set, empty; one that was begun and not finished is given up. */
int staging_begin(struct staging *s, struct err *err);
/* A whole file: rules/NAME, or where part is a file its own name. extension: of a name that is
 * there already what comes before it gets -2, -3; NULL: -EEXIST. */
int staging_add(struct staging *s, enum shelf_part part, const char *name, const char *extension,
                const void *bytes, size_t len, struct err *err);
/* The folder for a skill, NAME or with -2, -3, made; to be freed. */
int staging_add_skill(struct staging *s, const char *name, char **ret_folder, struct err *err);
/* A file of the skill, to be written to; a path as task/crate.h has it. */
int staging_open_file(struct staging *s, const char *skill, const char *path, bool is_program,
                      struct err *err);
/* Takes away a skill that could not be completed. */
void staging_drop_skill(struct staging *s, const char *skill);
/* Writes the manifest, makes all durable, and names the set as the one in force. It is then for
 * shelf_switch(). */
int staging_finish(struct staging *s, const char *manifest, char ret_name[SHELF_NAME_BYTES],
                   bool ret_has[SHELF_PART_COUNT], struct err *err);
void staging_give_up(struct staging *s);
/* Removes the sets that are neither among used nor being filled, so many entries at most; 1 where
 * more is left. */
int staging_sweep(struct staging *s, const struct strv *used, size_t entries);
