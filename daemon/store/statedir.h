/* statedir.h - the directory that holds the journal, its lock and its reserve.
 * Three things that concern the directory and not what is in the journal: who may use it, that one
 * daemon at a time does, and 1 MiB of it kept back for a full disk. For store/, and for main/ where
 * `up` and `check` look after a directory. */
#pragma once
#include <stdbool.h>

struct err;

enum { STATEDIR_RESERVE_BYTES = 1024 * 1024 };

/* Makes the directory (0700, parents too) if it isn't there. Refuses one that belongs to another
 * user or that group or others may write to. One they may only read is accepted: each file in it is
 * 0600. ret_path: the resolved absolute path, allocated; ret_fd: the open directory. */
int statedir_open(const char *dir, char **ret_path, int *ret_fd, struct err *err);

/* Takes "nairid.lock" for as long as ret_fd or a duplicate of it is open anywhere, and writes our
 * pid there. -EWOULDBLOCK with a sentence naming the holder's pid. */
int statedir_lock(int dir_fd, const char *path, int *ret_fd, struct err *err);

/* Whether the reserve lies there in full afterwards. Isn't tried where that would take the last of
 * the disk. */
bool statedir_reserve_make(int dir_fd);
/* Whether there was one to give up. */
bool statedir_reserve_release(int dir_fd);
