/* plan_explain() and plan_step_describe() of plan.h. */
#include <stdio.h>
#include <string.h>

#include "sandbox/gateway.h"
#include "sandbox/plan.h"
#include "util/buf.h"

static const char *access_of(const struct plan_step *s)
{
    if (s->flags & PLAN_DEVICE)
        return "device";
    return s->flags & PLAN_WRITABLE ? "writable" : "read-only";
}

void plan_step_describe(const struct plan_step *s, char *text, size_t size)
{
    switch (s->type) {
    case PLAN_STEP_DIR:
        (void)snprintf(text, size, "make directory %s", s->target);
        return;
    case PLAN_STEP_FILE:
        (void)snprintf(text, size, "make file %s", s->target);
        return;
    case PLAN_STEP_LINK:
        (void)snprintf(text, size, "make link %s to %s", s->target, s->text);
        return;
    case PLAN_STEP_BIND:
        if (strcmp(s->text, s->target) == 0)
            (void)snprintf(text, size, "mount %s", s->target);
        else
            (void)snprintf(text, size, "mount %s as %s", s->text, s->target);
        return;
    case PLAN_STEP_TMPFS:
    case PLAN_STEP_PROC:
    case PLAN_STEP_DEVPTS:
        (void)snprintf(text, size, "mount %s", s->target);
        return;
    case PLAN_STEP_TYPE_COUNT:
        break;
    }
    (void)snprintf(text, size, "do something unknown");
}

static void explain_step(const struct plan_step *s, struct buf *b)
{
    switch (s->type) {
    case PLAN_STEP_DIR:
        return; /* only there to hold the others */
    case PLAN_STEP_FILE:
        buf_printf(b, "file       %s, made for the task\n", s->target);
        return;
    case PLAN_STEP_LINK:
        buf_printf(b, "link       %s -> %s\n", s->target, s->text);
        return;
    case PLAN_STEP_BIND:
        buf_printf(b, "%-10s %s", access_of(s), s->target);
        if (strcmp(s->text, s->target) != 0)
            buf_printf(b, ", on the host %s", s->text);
        buf_append_str(b, s->flags & PLAN_OPTIONAL ? ", where the host has it\n" : "\n");
        return;
    case PLAN_STEP_TMPFS:
        buf_printf(b, "private    %s, empty at first, gone at the end, at most %llu MiB\n",
                   s->target, (unsigned long long)(s->size_bytes >> 20));
        return;
    case PLAN_STEP_PROC:
        buf_printf(b, "private    %s, the task's own processes only\n", s->target);
        return;
    case PLAN_STEP_DEVPTS:
        buf_printf(b, "private    %s, terminals of the task's own\n", s->target);
        return;
    case PLAN_STEP_TYPE_COUNT:
        return;
    }
}

static void explain_limit(struct buf *b, const char *name, uint64_t n, const char *unit)
{
    if (n > 0)
        buf_printf(b, "limit      %s: %llu%s\n", name, (unsigned long long)n, unit);
    else
        buf_printf(b, "limit      %s: none\n", name);
}

static void explain_brokers(const struct plan *p, struct buf *b)
{
    for (size_t i = 0; i < p->brokers.len; i++) {
        const struct broker *broker = &p->brokers.items[i];

        buf_printf(b,
                   "broker     " GATEWAY_URL "/%s, which asks %s with the key%s%s: ", broker->name,
                   broker->upstream, broker->key_file ? " of " : "",
                   broker->key_file ? broker->key_file : "");
        for (size_t k = 0; k < broker->methods.len; k++)
            buf_printf(b, "%s%s", k > 0 ? ", " : "", broker->methods.items[k]);
        for (size_t k = 0; k < broker->paths.len; k++)
            buf_printf(b, "%s%s", k > 0 ? ", " : " of ", broker->paths.items[k]);
        buf_append_char(b, '\n');
    }
}

static void explain_network(const struct plan *p, struct buf *b)
{
    switch (p->network) {
    case PLAN_NETWORK_NONE:
        buf_append_str(b, "network    none: a loopback of its own\n");
        explain_brokers(p, b);
        return;
    case PLAN_NETWORK_HOST:
        buf_append_str(b, "network    the host's, without any restriction\n");
        return;
    case PLAN_NETWORK_ALLOWLIST:
        buf_append_str(b, "network    a loopback of its own, and a proxy on it, " GATEWAY_URL
                          ", that lets through what is listed here\n");
        break;
    case PLAN_NETWORK_COUNT:
        return;
    }
    for (size_t i = 0; i < p->host_count; i++)
        buf_printf(b, "reachable  %s, from %s\n", p->hosts[i].text, p->hosts[i].origin);
    if (p->host_count == 0)
        buf_append_str(b, "reachable  nothing: no host is allowed\n");
    explain_brokers(p, b);
    if (*p->proxy)
        buf_append_str(b,
                       "through    another proxy, which resolves the names: where they lead can't "
                       "be checked here\n");
}

void plan_explain(const struct plan *p, struct buf *b)
{
    buf_printf(b, "profile    %s\n", plan_profile_name(p->profile));
    buf_append_str(b, "program   ");
    for (size_t i = 0; i < p->argv.len; i++)
        buf_printf(b, " %s", p->argv.items[i]);
    buf_printf(b, "\nuser       %d inside, %u on the host; no capability, no way to gain any\n",
               PLAN_INNER_ID, (unsigned)p->outer_uid);
    buf_printf(b, "namespaces user, mount, pid, ipc, uts, cgroup%s\n",
               p->network != PLAN_NETWORK_HOST ? ", network" : "");
    explain_network(p, b);
    for (size_t i = 0; i < p->step_count; i++)
        explain_step(&p->steps[i], b);
    explain_limit(b, "memory", p->memory_bytes >> 20, " MiB");
    explain_limit(b, "size of a file", p->disk_bytes >> 20, " MiB");
    explain_limit(b, "processes", p->pids, "");
    explain_limit(b, "open files", p->files, "");
    explain_limit(b, "processor", p->cpu_percent, "%");
    explain_limit(b, "processor time", p->cpu_time_ms / 1000, " s in all");
    explain_limit(b, "its files", p->tree_bytes >> 20, " MiB in all");
    for (size_t i = 0; i < p->env.len; i++)
        buf_printf(b, "variable   %.*s\n", (int)strcspn(p->env.items[i], "="), p->env.items[i]);
}
