/* depot.h - the directory beside the database in which attachments lie, and the threads that touch
 * it.
 * A file's name is its attachment's id; while it is being written it has PART behind that. What the
 * database knows is whole on disk: a file gets its name after an fsync, the directory is fsynced,
 * and only then a row is made. So all that a crash leaves are files that no row names; the next
 * start removes them. The loop never waits for a disk: operations run on threads of the depot, the
 * slow ones (fsync) on one of their own. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>
#include <stdint.h>

struct db;
struct depot;
struct err;
struct loop;

#define DEPOT_PART ".part"

struct depot_op {
    /* A thread of the depot. dir: the directory. 0 or a negative errno. */
    int (*run)(struct depot_op *op, int dir);
    /* The loop. May give more, may free op. */
    void (*done)(struct depot_op *op, int result);
    int result; /* the depot's */
};

/* "FILE-attachments" for the database FILE. To be freed. */
char *depot_path(const char *db_path);
/* Makes the directory if it is missing (0700; others lose their rights to one that is there), and
 * removes the files in it that the database doesn't know. */
/* keep_free: bytes of the disk that depot_check_room() leaves to others. */
int depot_new(struct loop *loop, struct db *db, const char *path, uint64_t keep_free,
              struct depot **ret_depot, struct err *err);
void depot_give(struct depot *d, struct depot_op *op);
/* For what waits until bytes are on the disk. */
void depot_give_slow(struct depot *d, struct depot_op *op);
/* Removes the file of that attachment, whenever there is time. */
void depot_remove(struct depot *d, const char *id);
/* A thread of the depot: whether len more bytes leave keep_free of the disk. 0, -EDQUOT if not, or
 * another negative errno. */
int depot_check_room(const struct depot *d, size_t len);
uint64_t depot_keep_free(const struct depot *d);
const char *depot_dir(const struct depot *d); /* its path, for people */
/* Finishes what was given, calling done. What is given after this is done at once. */
void depot_close(struct depot *d);
void depot_free(struct depot *d);
DEFINE_CLEANUP(struct depot *, depot_free);
