/* cgroupfile.h - the small text files by which the kernel's control groups are read and set. For
 * sandbox/ only. Sources: cgroups(7), the kernel's admin-guide on cgroup v1 and v2. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { CGROUPFILE_MAX = 4096 };

/* The text of DIR/NAME, NUL-terminated, without its last newline; cut at CGROUPFILE_MAX - 1. */
int cgroupfile_read(const char *dir, const char *name, char text[CGROUPFILE_MAX]);
/* With the one write that the kernel takes or refuses. */
int cgroupfile_write(const char *dir, const char *name, const char *text);
/* As decimal; 0 is no limit and writes nothing. */
int cgroupfile_limit(const char *dir, const char *name, uint64_t n);
/* Whether the list, whose words stand apart by the separator, has the word. */
bool cgroupfile_has_word(const char *list, char separator, const char *word);
/* The number behind "NAME " at the beginning of a line; 0 where there is none. */
uint64_t cgroupfile_number(const char *text, const char *name);
/* SIGKILL for every process that is listed in DIR/cgroup.procs; returns whether there was one. */
bool cgroupfile_kill(const char *dir);
