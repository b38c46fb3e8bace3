/* enclosed.h - what came with a job's messages: the files in ROOT/JOB/attachments/MESSAGE, which
 * are ours to write and the job's tasks' to read, and nobody's else. They are kept and removed with
 * the job's other directories. A file is written under another name first: what is there under its
 * own is whole, whatever happened since, and is not fetched again. Everything is opened beneath the
 * job's directory without following links. */
#pragma once
#include "util/filetype.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

enum { ENCLOSED_FOLDER_MAX = 80, ENCLOSED_NAME_MAX = 40, ENCLOSED_PART_MAX = 72 };

/* The name of the folder of a message with any id: the id where that can be one, else one that is
 * derived from it. Returns folder. */
char *enclosed_folder(char folder[ENCLOSED_FOLDER_MAX], const char *message_id);
/* Makes the message's folder if it isn't there, and removes what was begun there and never kept.
 * The job's directories have been made, with uid (workspace_open()). A descriptor of the folder, or
 * a negative errno with a sentence. */
int enclosed_open(const char *root, const char *job_id, const char *message_id, uid_t uid,
                  struct err *err);
/* Whether the nth file of the message is there; its name and size go out if it is. */
bool enclosed_find(int folder_fd, size_t n, char name[ENCLOSED_NAME_MAX], size_t *ret_bytes);
/* Begins a file, under a name that no other has had: a descriptor to write it by, or a negative
 * errno. */
int enclosed_begin(int folder_fd, uid_t uid, char part[ENCLOSED_PART_MAX]);
/* All of it is written: makes it last, and gives it its own name, as the nth. May block: waits for
 * the disk. The descriptor stays open. */
int enclosed_keep(int folder_fd, const char *part, int fd, size_t n, const char *extension,
                  char name[ENCLOSED_NAME_MAX]);
/* Removes what was begun and isn't kept. */
void enclosed_drop(int folder_fd, const char *part);
/* Whether the job has any; then the directory's path, allocated, else NULL. */
char *enclosed_path(const char *root, const char *job_id);
