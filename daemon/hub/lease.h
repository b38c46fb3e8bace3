/* lease.h - which instances of an agent are alive, and so hold the jobs they took.
 * An instance holds its jobs as long as it calls; each call renews for LEASE_MS, or, where the call
 * itself waits long, until some time after its wait is over. So a lease is a property of the
 * instance, renewed in constant time; who holds a job stands in the database (job.holder).
 * After a start nothing is known of who is alive, so everybody is held to be for one lease's time.
 * Pure: the caller passes the time (CLOCK_MONOTONIC ms). Agents are named by their number. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LEASE_MS = 120 * 1000,
    LEASE_WAIT_MARGIN_MS = 30 * 1000, /* beyond the end of a long poll */
    LEASE_INSTANCE_MAX = 128,         /* bytes of an instance's name */
    LEASE_TABLE_MAX = 10000,          /* instances at a time */
    LEASE_AGENT_MAX = 1000,           /* of one agent, which is not to keep the others out */
};

struct lease_table;
struct lease;

/* All times are of one monotonic clock. Made with the time of grace running, in which instances of
 * before a restart may call again. */
struct lease_table *lease_table_new(uint64_t now_ms);
void lease_table_free(struct lease_table *t);
DEFINE_CLEANUP(struct lease_table *, lease_table_free);

/* A call of this instance, which waits at most wait_ms. -ENOSPC if the table, or the agent's part
 * of it, is full. */
int lease_renew(struct lease_table *t, int64_t agent, const char *instance, uint64_t now_ms,
                uint32_t wait_ms);
/* Whether the instance is to be asked for idle jobs in an answer that goes out by until_ms, as the
 * last time was interval_ms before that: once each time. Not at once after its first call. */
bool lease_take_check(struct lease_table *t, int64_t agent, const char *instance, uint64_t until_ms,
                      uint32_t interval_ms);
bool lease_is_live(const struct lease_table *t, int64_t agent, const char *instance,
                   uint64_t now_ms);
size_t lease_count(const struct lease_table *t); /* instances, those whose lease has ended too */
/* The agent of each instance whose lease runs, in no order; agents has room for lease_count().
 * Returns how many. What may be alive in the time of grace alone isn't among them. */
size_t lease_list_live(const struct lease_table *t, uint64_t now_ms, int64_t *agents);
/* When the next lease (or the time of grace) ends; UINT64_MAX if none runs. */
uint64_t lease_next_end(const struct lease_table *t);
/* True from the end of the time of grace on, until lease_forget() has been called after it. */
bool lease_grace_is_over(const struct lease_table *t, uint64_t now_ms);
/* The instances whose lease has ended by now_ms, one after the other: pass NULL first. They stay
 * until lease_forget() takes them out. */
const struct lease *lease_next_ended(const struct lease_table *t, const struct lease *after,
                                     uint64_t now_ms);
int64_t lease_agent(const struct lease *l);
const char *lease_instance(const struct lease *l);
/* Takes out what had ended by now_ms, and the time of grace if that is over. */
void lease_forget(struct lease_table *t, uint64_t now_ms);
