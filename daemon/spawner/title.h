/* title.h - what others can read about a forked process in /proc/PID/cmdline and environ: both are
 * the memory that the kernel filled at execve(2), which a fork takes along. */
#pragma once

/* Overwrites the arguments with name (cut to their length) and the environment with zeros, so that
 * no secret or path of the parent shows, not in this process nor in what it forks. The environment
 * is empty afterwards. */
void title_set(const char *name);
