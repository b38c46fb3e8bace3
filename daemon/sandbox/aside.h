/* aside.h - moves what a task left at a place that is needed for something else out of the way: to
 * NAME.own, or where that can't be replaced, as a directory of the task's can't, to NAME.own- and
 * random digits, which no task can foresee. Nothing is followed. Async-signal-safe. */
#pragma once

/* path: relative to dir, or absolute. Negative errno: it couldn't be moved. */
int aside_move(int dir, const char *path);
