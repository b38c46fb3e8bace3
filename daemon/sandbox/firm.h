/* firm.h - opening a path of which tasks could have made the end: links on the firm part lead where
 * they lead, and on the rest none is followed, or a task could put whatever it likes in the place
 * of what the operator means. Async-signal-safe. Source: openat2(2). */
#pragma once
#include <stddef.h>

/* How long the part of path is that no task can have made, where tasks may write in dir and all
 * that is beneath; at most len, which is what is known of it so far. */
size_t firm_len(const char *path, size_t len, const char *dir);
/* An O_PATH descriptor of path, or a negative errno: -ELOOP for a link behind its first len bytes.
 * root: the directory that "/" stands for, links included; -1: our own. */
int firm_open(int root, const char *path, size_t len);
