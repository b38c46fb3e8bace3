/* census.h - whether this machine leaves the uids alone that tasks are given as root (plan.h). An
 * account among them would be a task's equal, and where there are no namespaces its processes would
 * be killed with it. Sources: passwd(5), subuid(5). Accounts that come from elsewhere, such as a
 * directory's, aren't seen. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct err;

/* etc: "/etc". -EEXIST with a sentence where its passwd has an account among them; another negative
 * errno where that can't be read. */
int census_check(const char *etc, struct err *err);
/* A sentence where its subuid or subgid hands some of them out to a user's containers; NULL: they
 * don't, or aren't there. */
char *census_overlap(const char *etc);
/* How many ids its subuid gives that user, by number or by the name that its passwd has. */
uint64_t census_spare(const char *etc, uid_t uid);
