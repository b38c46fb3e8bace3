/* init.h - our process 1 in a task's pid namespace: starts the program, reaps whatever the kernel
 * hands it, and ends when the program ended or the control socket closes. What is then still alive
 * in the namespace the kernel kills (pid_namespaces(7)). Where there is no such namespace (a bare
 * plan), it is the task's subreaper (prctl(2)), kills all that it may send a signal to, which is
 * what is the task's, and then empties the task's private directory. Async-signal-safe. */
#pragma once
#include "sandbox/apply.h"

struct plan;

/* Sends a FAILED report and exits. */
_Noreturn void init_fail(int control, enum apply_stage stage, size_t index, int error);
/* Sets a resource limit, hard and soft, but not above what the machine allows. */
int init_limit(unsigned resource, uint64_t most);
/* As after boot, but all blocked, until the program begins: none is ignored that the daemon
 * ignores.
 */
void init_reset_signals(void);
/* Called when all walls are up, with signals as above. Reports over control. stdio: the program's
 * descriptors 0 to 2. limited: the task as a whole is, by a cgroup. */
_Noreturn void init_run(const struct plan *plan, const int stdio[3], int control, bool limited);
