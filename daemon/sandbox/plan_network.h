/* plan_network.h - the part of a plan that says what the task may reach. Core: pure. */
#pragma once

struct err;
struct plan;
struct plan_policy;
struct strv;

/* Fills the plan's members about the network; as_root is set before. */
int plan_network_add(struct plan *p, const struct plan_policy *policy, struct err *err);
/* NAME=value, appended to env: the proxy, for every kind of program that can be told of it. */
void plan_network_env(const struct plan *p, struct strv *env);
