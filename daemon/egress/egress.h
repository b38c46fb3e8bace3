/* egress.h - the process that is one task's way out: it accepts what the task sends to its proxy,
 * lets through what the policy names, and asks APIs with the keys of its brokers. Cloned by the
 * spawner, confined (sandbox/confine.h) before it accepts anything, and ended with the task. It has
 * that task's policy and nothing else. It has one thread, so a task that keeps it busy takes one
 * processor at most, and of that, by nice(1), what the daemon and the tasks leave; its limits on
 * connections, requests and bytes say how long. No cgroup holds it: it isn't the task's, and must
 * not starve when that has used up its own share. */
#pragma once
#include "sandbox/gateway.h"

/* A gateway_fn; returns when the spawner closed its socket, or when it couldn't begin. */
void egress_run(const struct gateway *g);
