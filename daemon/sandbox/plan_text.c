/* plan_explain() and plan_step_describe() of plan.h. */
#include <stdio.h>
#include <string.h>

#include "sandbox/filter.h"
#include "sandbox/gateway.h"
#include "sandbox/plan_origin.h"
#include "sandbox/plan_paths.h"
#include "util/buf.h"
#include "util/utf8.h"

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

/* ---- paths ---- */

static void end_line(const struct plan *p, uint32_t origin, struct buf *b)
{
    buf_printf(b, " [%s]\n", plan_origin(p, origin));
}

static void print_rights(uint32_t rights, struct buf *b)
{
    static const struct {
        uint32_t right;
        const char *word;
    } words[] = { { PLAN_MAY_LIST, "list" },
                  { PLAN_MAY_READ, "read" },
                  { PLAN_MAY_EXECUTE, "execute" },
                  { PLAN_MAY_WRITE, "write" },
                  { PLAN_MAY_CHANGE, "make, rename, remove" } };
    const char *between = "";

    if (rights & PLAN_MAY_CHANGE)
        rights |= PLAN_MAY_WRITE;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (!(rights & words[i].right))
            continue;
        buf_printf(b, "%s%s", between, words[i].word);
        between = ", ";
    }
    if (!rights)
        buf_append_str(b, "nothing");
}

/* What a mount leaves of the rights. */
static uint32_t mounted_rights(const struct plan_step *s, uint32_t rights)
{
    bool is_read_only = s->type == PLAN_STEP_BIND && !(s->flags & PLAN_WRITABLE);

    if (is_read_only)
        rights &= ~(uint32_t)(PLAN_MAY_WRITE | PLAN_MAY_CHANGE);
    if (s->flags & PLAN_NOEXEC || s->type == PLAN_STEP_PROC || s->type == PLAN_STEP_DEVPTS)
        rights &= ~(uint32_t)PLAN_MAY_EXECUTE;
    if (s->flags & PLAN_DEVICE)
        rights &= ~(uint32_t)(PLAN_MAY_LIST | PLAN_MAY_CHANGE);
    return rights;
}

/* Both walls: how it is mounted, and what Landlock lets be done there. */
static void print_walls(const struct plan *p, const struct plan_step *s, struct buf *b)
{
    bool is_bind = s->type == PLAN_STEP_BIND;

    buf_printf(b, "; mount: %s, nosuid",
               is_bind && !(s->flags & PLAN_WRITABLE) ? "read-only" : "writable");
    if (!(s->flags & PLAN_DEVICE) && s->type != PLAN_STEP_DEVPTS)
        buf_append_str(b, ", nodev");
    if (s->flags & PLAN_NOEXEC || s->type == PLAN_STEP_PROC || s->type == PLAN_STEP_DEVPTS)
        buf_append_str(b, ", noexec");
    buf_append_str(b, "; Landlock: ");
    print_rights(plan_paths_rights(p, s->target), b);
}

static void print_bind(const struct plan_step *s, struct buf *b)
{
    buf_append_str(b, "; the host's");
    if (strcmp(s->text, s->target) != 0)
        buf_printf(b, " %s", s->text);
    if (s->flags & PLAN_MIRROR)
        buf_append_str(b, ", as a link where it is one");
    if (s->flags & PLAN_OPTIONAL)
        buf_append_str(b, ", where the host has it");
}

static const char *access_of(const struct plan_step *s)
{
    if (s->type != PLAN_STEP_BIND)
        return "private";
    if (s->flags & PLAN_DEVICE)
        return "device";
    return s->flags & PLAN_WRITABLE ? "writable" : "read-only";
}

static void explain_mount(const struct plan *p, const struct plan_step *s, struct buf *b)
{
    buf_printf(b, "%-10s %s: ", access_of(s), s->target);
    print_rights(mounted_rights(s, plan_paths_rights(p, s->target)), b);
    if (s->type == PLAN_STEP_BIND)
        print_bind(s, b);
    else if (s->type == PLAN_STEP_TMPFS)
        buf_printf(b, "; empty at first, gone at the end, at most %llu MiB",
                   (unsigned long long)(s->size_bytes >> 20));
    else
        buf_append_str(b, s->type == PLAN_STEP_PROC ? "; the task's own processes only"
                                                    : "; terminals of the task's own");
    print_walls(p, s, b);
    end_line(p, s->origin, b);
}

static void explain_step(const struct plan *p, const struct plan_step *s, struct buf *b)
{
    switch (s->type) {
    case PLAN_STEP_DIR:
        return; /* only there to hold the others */
    case PLAN_STEP_FILE:
        buf_printf(b, "file       %s: read; made for the task, on its read-only root", s->target);
        end_line(p, s->origin, b);
        return;
    case PLAN_STEP_LINK:
        buf_printf(b, "link       %s -> %s", s->target, s->text);
        end_line(p, s->origin, b);
        return;
    case PLAN_STEP_BIND:
    case PLAN_STEP_TMPFS:
    case PLAN_STEP_PROC:
    case PLAN_STEP_DEVPTS:
        explain_mount(p, s, b);
        return;
    case PLAN_STEP_TYPE_COUNT:
        return;
    }
}

/* Without mounts: the host's paths, by their rules. */
static void explain_rules(const struct plan *p, struct buf *b)
{
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct plan_rule *rule = &p->rules[i];

        buf_printf(b, "%-10s %s: ", rule->rights & PLAN_MAY_CHANGE ? "writable" : "readable",
                   rule->path);
        print_rights(rule->rights, b);
        buf_append_str(b, "; by Landlock, on the host's own");
        end_line(p, rule->origin, b);
    }
    buf_printf(b, "begins in  %s\n", p->directory);
    if (*p->scratch)
        buf_printf(b, "private    %s, emptied before and after\n", p->scratch);
}

static void explain_paths(const struct plan *p, struct buf *b)
{
    if (p->ground.rung == PLAN_RUNG_BARE) {
        explain_rules(p, b);
        return;
    }
    buf_append_str(b, "root       /: ");
    print_rights(plan_paths_rights(p, "/") & ~(uint32_t)(PLAN_MAY_WRITE | PLAN_MAY_CHANGE), b);
    buf_append_str(b, "; made for the task, nothing is there but what follows and the directories "
                      "above it; mount: read-only, nosuid, nodev; Landlock: ");
    print_rights(plan_paths_rights(p, "/"), b);
    end_line(p, PLAN_ORIGIN_EVERY_TASK, b);
    for (size_t i = 0; i < p->step_count; i++)
        explain_step(p, &p->steps[i], b);
}

/* ---- the rest ---- */

static void explain_limit(const struct plan *p, const char *name, uint64_t n, const char *unit,
                          enum plan_word word, struct buf *b)
{
    if (n > 0)
        buf_printf(b, "limit      %s: %llu%s", name, (unsigned long long)n, unit);
    else
        buf_printf(b, "limit      %s: none", name);
    end_line(p, p->word_origins[word], b);
}

static void explain_limits(const struct plan *p, struct buf *b)
{
    explain_limit(p, "memory", p->memory_bytes >> 20, " MiB", PLAN_WORD_MEMORY, b);
    explain_limit(p, "size of a file", p->disk_bytes >> 20, " MiB", PLAN_WORD_DISK, b);
    explain_limit(p, "processes", p->pids, "", PLAN_WORD_PIDS, b);
    explain_limit(p, "open files", p->files, "", PLAN_WORD_FILES, b);
    explain_limit(p, "processor", p->cpu_percent, "%", PLAN_WORD_CPU, b);
    explain_limit(p, "processor time", p->cpu_time_ms / 1000, " s in all", PLAN_WORD_CPU_TIME, b);
    explain_limit(p, "its files", p->tree_bytes >> 20, " MiB in all", PLAN_WORD_DISK, b);
    buf_append_str(b, "limit      core dumps: none is written or handed to a handler");
    end_line(p, PLAN_ORIGIN_EVERY_TASK, b);
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
        end_line(p, p->word_origins[PLAN_WORD_BROKER], b);
    }
}

static void explain_network(const struct plan *p, struct buf *b)
{
    static const char *const words[] = {
        [PLAN_NETWORK_NONE] = "none: a loopback of its own",
        [PLAN_NETWORK_HOST] = "the host's, without any restriction",
        [PLAN_NETWORK_ALLOWLIST] = "a loopback of its own, and a proxy on it, " GATEWAY_URL
                                   ", that lets through what is listed here",
    };

    buf_printf(b, "network    %s",
               p->ground.rung == PLAN_RUNG_BARE && p->network == PLAN_NETWORK_NONE
                   ? "none: no internet socket at all"
                   : words[p->network]);
    end_line(p, p->word_origins[PLAN_WORD_NETWORK], b);
    for (size_t i = 0; i < p->host_count; i++) {
        buf_printf(b, "reachable  %s", p->hosts[i].text);
        end_line(p, p->hosts[i].origin, b);
    }
    if (p->network == PLAN_NETWORK_ALLOWLIST && p->host_count == 0) {
        buf_append_str(b, "reachable  nothing: no host is allowed");
        end_line(p, p->word_origins[PLAN_WORD_ALLOW], b);
    }
    explain_brokers(p, b);
    if (*p->proxy) {
        buf_append_str(b,
                       "through    another proxy, which resolves the names: where they lead can't "
                       "be checked here");
        end_line(p, p->word_origins[PLAN_WORD_PROXY], b);
    }
}

static void explain_identity(const struct plan *p, struct buf *b)
{
    bool is_mapped = p->ground.rung == PLAN_RUNG_TOP;
    unsigned inner = is_mapped ? PLAN_INNER_ID : (unsigned)p->outer_uid;

    buf_printf(b, "user       %u inside, %u on the host", inner, (unsigned)p->outer_uid);
    end_line(p, PLAN_ORIGIN_EVERY_TASK, b);
    if (p->as_root)
        buf_printf(b, "group      %u inside, %u on the host, and no other", inner,
                   (unsigned)p->outer_uid);
    else if (!is_mapped)
        buf_append_str(
            b, "group      nairid's own; its further groups, which `nairid check` names, stay");
    else
        buf_printf(b,
                   "group      %d inside, nairid's own on the host; its further groups, which "
                   "`nairid check` names, stay",
                   PLAN_INNER_ID);
    end_line(p, PLAN_ORIGIN_EVERY_TASK, b);
    if (p->ground.rung == PLAN_RUNG_BARE)
        buf_append_str(
            b, "namespaces none: Landlock, the filter and limits are what holds it; the filter "
               "also refuses local sockets, IPC objects, and a word about other processes");
    else
        buf_printf(b, "namespaces %smount, pid, ipc, uts, cgroup%s", is_mapped ? "user, " : "",
                   p->network != PLAN_NETWORK_HOST ? ", network" : "");
    end_line(p, PLAN_ORIGIN_EVERY_TASK, b);
    buf_append_str(b, "privileges no capability, no way to gain any (no_new_privs), no keyring of "
                      "the caller's, no controlling terminal, no descriptor but 0, 1 and 2");
    end_line(p, PLAN_ORIGIN_EVERY_TASK, b);
}

/* On one line, whatever is in the arguments; long ones are cut. */
static void explain_program(const struct plan *p, struct buf *b)
{
    buf_append_str(b, "program   ");
    for (size_t i = 0; i < p->argv.len; i++) {
        char word[200];

        buf_printf(b, " %s%s", utf8_line(word, sizeof word, p->argv.items[i]),
                   strlen(p->argv.items[i]) >= sizeof word ? "..." : "");
    }
    buf_append_char(b, '\n');
}

void plan_explain(const struct plan *p, struct buf *b)
{
    buf_printf(b, "profile    %s", p->profile ? p->profile : "");
    end_line(p, p->word_origins[PLAN_WORD_PROFILE], b);
    explain_program(p, b);
    explain_identity(p, b);
    explain_network(p, b);
    explain_paths(p, b);
    explain_limits(p, b);
    filter_explain(p->calls, plan_origin(p, p->calls_origin), b);
    for (size_t i = 0; i < p->env.len; i++) {
        buf_printf(b, "variable   %.*s", (int)strcspn(p->env.items[i], "="), p->env.items[i]);
        end_line(p, p->env_origins ? p->env_origins[i] : 0, b);
    }
}
