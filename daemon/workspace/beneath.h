/* beneath.h - directories opened beneath one that is open already, without following anything. For
 * workspace/ only. Source: openat2(2). */
#pragma once
#include "util/cleanup.h"
#include <dirent.h>
#include <sys/types.h>

/* The directory name of dir_fd, which is neither a link nor a mount point, opened with flags
 * (O_PATH or O_RDONLY; O_DIRECTORY and O_CLOEXEC are added). A descriptor, or a negative errno:
 * -ELOOP for a link, -EXDEV for a mount point, -ENOTDIR for anything else. */
int beneath_open(int dir_fd, const char *name, int flags);
/* The same for what is no directory, for reading: opened without waiting for anybody, as with a
 * fifo, so that fstat(2) can tell what it is. */
int beneath_open_file(int dir_fd, const char *name);
/* Sets the mode of an open directory, also of one opened with O_PATH because its mode denied us
 * more. */
int beneath_chmod(int fd, mode_t mode);
/* As closedir(3); NULL is a no-op. */
void beneath_close(DIR *dir);
DEFINE_CLEANUP(DIR *, beneath_close);
