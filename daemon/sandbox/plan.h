/* plan.h - from policy to a list of steps: everything that is needed to build one sandbox, decided
 * before anything is done. Core: pure, no I/O. sandbox/apply.h carries it out.
 * A policy is what the profile, the operator's settings and the runner ask for; a plan is what will
 * be done, and on whose word.
 * Paths in a plan are absolute and plain (no "." or ".." or doubled slash). Host paths are the
 * text of a step, paths inside the sandbox its target. */
#pragma once
#include "settings/broker.h"
#include "util/cleanup.h"
#include "util/strv.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct err;
struct profile;

#define PLAN_WORKSPACE   "/workspace"
#define PLAN_HOME        "/home/agent"
#define PLAN_ATTACHMENTS "/attachments"
#define PLAN_BRIEF       "/nairid/brief"
#define PLAN_HOSTNAME    "sandbox"
/* Who the task is inside; the one id that its user namespace maps. */
enum { PLAN_INNER_ID = 1000 };
/* The uids (and gids) that are ours as root, as on the bare rung all processes of a task's user are
 * killed with it. They are of a range that systemd's list (UIDS-GIDS.md, 0x70000000 to 0x7ffdffff)
 * leaves unused: its dynamic users (61184 to 65519), its containers (up to 0x6fffffff) and its
 * foreign images (from 0x7ffe0000) are others. What is given out now is above the ids that SSSD
 * makes for accounts of a directory unless told otherwise (up to 2000200000), too; jobs of earlier
 * versions have any of the range. `nairid check` looks for accounts and subordinate ids in it. */
enum {
    PLAN_OWN_UID_MIN = 0x70000000,
    PLAN_KILLER_UID = 0x78000001, /* sends the signals; no task's */
    PLAN_EGRESS_UID = 0x78000002, /* of all egress processes; no task's */
    PLAN_LONE_UID_MIN = 0x78000010,
    PLAN_LONE_UID_MAX = 0x787fffff,
    PLAN_JOB_UID_MIN = 0x78800000, /* from here on they are jobs', workspace/tenants.h */
    PLAN_OWN_UID_MAX = 0x7ffdffff,
};
/* Bounds, so that a hostile encoding is refused before it costs memory. */
enum {
    PLAN_STEPS_MAX = 1024,
    PLAN_EXTRA_MAX = 64,  /* paths of sandbox.read and sandbox.write together */
    PLAN_PATH_MAX = 4096, /* limits.h: PATH_MAX */
    PLAN_RULES_MAX = 256,
    PLAN_HOSTS_MAX = 2048,
    PLAN_BRIEF_MAX = 120 * 1024,
    PLAN_STRINGS_MAX = 4096,          /* of argv, env and programs, each */
    PLAN_STRING_MAX = 128 * 1024,     /* execve(2): MAX_ARG_STRLEN */
    PLAN_BYTES_MAX = 2 * 1024 * 1024, /* the whole plan, encoded */
};

enum plan_network {
    PLAN_NETWORK_NONE,      /* a loopback of its own; of brokers on it, their upstreams */
    PLAN_NETWORK_HOST,      /* all of the machine's */
    PLAN_NETWORK_ALLOWLIST, /* a loopback of its own, and a proxy on it (sandbox/gateway.h) */
    PLAN_NETWORK_COUNT
};
/* How high a sandbox stands here; sandbox/rung.h finds it out. */
enum plan_rung {
    PLAN_RUNG_TOP,  /* all namespaces, the user's among them */
    PLAN_RUNG_ROOT, /* as root: all but the user's */
    PLAN_RUNG_BARE, /* none of them: the host's files at their own places, no mount; Landlock, the
                       filter and limits hold a task, as root a user of its own, too */
    PLAN_RUNG_COUNT
};
/* What stands and what the operator does without. Zero is all of it. */
struct plan_ground {
    enum plan_rung rung;
    bool host_proc;        /* /proc is the host's, read-only; always so where the rung is bare */
    bool without_landlock; /* never where the rung is bare */
};

/* The settings that a plan is made from, each with a place where it was written. */
enum plan_word {
    PLAN_WORD_PROFILE,
    PLAN_WORD_NETWORK,
    PLAN_WORD_ALLOW,
    PLAN_WORD_BROKER,
    PLAN_WORD_PROXY,
    PLAN_WORD_READ,
    PLAN_WORD_WRITE,
    PLAN_WORD_MEMORY,
    PLAN_WORD_DISK,
    PLAN_WORD_PIDS,
    PLAN_WORD_FILES,
    PLAN_WORD_CPU,
    PLAN_WORD_CPU_TIME,
    PLAN_WORD_COUNT
};

/* A path of the host at another place of the sandbox: in the home, where what a task left doesn't
 * count, or in a directory that is there for it alone. */
struct plan_shown {
    const char *outside; /* NULL: nothing (any more) */
    const char *inside;
};

struct plan_policy {
    const struct profile *profile;        /* settings/profile.h */
    const char *origins[PLAN_WORD_COUNT]; /* FILE:LINE:COLUMN and the like; NULL: the default */
    struct plan_ground ground;
    enum plan_network network;
    /* ALLOWLIST: entries of settings/allow.h; NULL for none */
    const struct strv *allow, *needs; /* the operator's and the runner's */
    const char *runner;               /* the latter's name */
    const char *gateway;              /* URL of an MCP gateway, which a task may reach at whatever
                                         address; NULL: none */
    const char *gateway_origin;       /* FILE:LINE:COLUMN and the like; NULL: the default */
    const char *proxy; /* http://[USER:PASSWORD@]HOST[:PORT] on the way out, or NULL */
    uid_t egress_uid;  /* as root: who the proxy runs as, its gid, too; never 0 */
    const struct broker_list *brokers; /* NULL for none; not with HOST, whose loopback is shared */
    const char *ca_file;               /* trusted by brokers without their own; NULL: none */
    /* host paths besides the profile's, NULL for none: the operator's, and to read the runner's */
    const struct strv *read, *write, *runner_read;
    const char
        *workspace; /* host directory shown at /workspace, writable unless workspace_read_only */
    bool workspace_read_only;
    const char *home;        /* host directory shown at /home/agent; NULL: a private empty one */
    const char *attachments; /* host directory shown at /attachments, read-only; NULL: none. BARE:
                                beside the workspace, of that name */
    const char *scratch;     /* BARE: host directory that the task may write, emptied before and
                                after it, for what is private elsewhere; NULL: one in home */
    bool stdout_file;        /* see sandbox/relay.h */
    const char *brief;       /* text shown as the file PLAN_BRIEF; NULL: none */
    const struct plan_shown *shown; /* read-only, on the control plane's account */
    size_t shown_count;
    const struct strv *argv; /* the program (a path, or a name looked up in the sandbox's PATH) and
                                its arguments */
    const struct strv *env;  /* NAME=value, besides the profile's; the last of a name wins */
    const struct strv *env_origins;    /* an entry each, or NULL: the runner */
    uint64_t memory_bytes, disk_bytes; /* 0: no limit, here and below */
    uint64_t tree_bytes;               /* of workspace, home and attachments together */
    uint64_t cpu_time_ms;
    uint32_t pids, files, cpu_percent;
    uid_t uid;      /* daemon's own uid; 0 chooses the root way */
    uid_t task_uid; /* as root: the host uid that the task runs as, and its gid; never 0 */
};

/* Carried out in order, within the new root. */
enum plan_step_type {
    PLAN_STEP_DIR,    /* an empty directory of mode */
    PLAN_STEP_FILE,   /* text: its contents; mode */
    PLAN_STEP_LINK,   /* text: where it points */
    PLAN_STEP_BIND,   /* text: a host path; flags */
    PLAN_STEP_TMPFS,  /* size_bytes, mode, flags */
    PLAN_STEP_PROC,   /* of the task's own pid namespace, without the names of keys */
    PLAN_STEP_DEVPTS, /* an instance of its own */
    PLAN_STEP_TYPE_COUNT
};
enum plan_flag {
    PLAN_WRITABLE = 1, /* BIND: else read-only */
    PLAN_DEVICE = 2,   /* BIND of a device node: else nodev */
    PLAN_OPTIONAL = 4, /* BIND: left out where the host lacks it */
    PLAN_MIRROR = 8,   /* BIND: where the host has a link, the same link is made */
    PLAN_NOEXEC = 16,  /* BIND, TMPFS */
    PLAN_AMID = 32,    /* BIND: at a place amid what earlier tasks could write: nothing on the way
                          to it is followed, and what is missing of it is made */
    PLAN_FLAGS_ALL = 63
};
struct plan_step {
    enum plan_step_type type;
    uint32_t flags;
    uint32_t mode;
    uint64_t size_bytes;
    char *target;
    char *text;      /* "" where the type has none */
    uint32_t origin; /* of plan_origin(), here and below */
};

/* Where what a task sees at a path comes from. */
enum plan_place {
    PLAN_PLACE_NONE, /* nothing is there */
    PLAN_PLACE_HOST, /* what the host has at the same path */
    PLAN_PLACE_OWN,  /* the task's own: its workspace, its home, what is made for it */
};

/* The second wall, Landlock: what may be done beneath a path of the sandbox. */
enum plan_right {
    PLAN_MAY_LIST = 1,    /* read directories */
    PLAN_MAY_READ = 2,    /* read files */
    PLAN_MAY_EXECUTE = 4, /* execute files */
    PLAN_MAY_CHANGE = 8,  /* write, make, rename, remove: everything but device nodes */
    PLAN_MAY_WRITE = 16,  /* write files that are there; device ioctls */
    PLAN_RIGHTS_ALL = 31
};
struct plan_rule {
    uint32_t rights;
    char *path; /* one that isn't there is left out */
    uint32_t origin;
};

/* A place that may be reached by the proxy. */
struct plan_host {
    char *text; /* in the form of allow_print() */
    uint32_t origin;
};

struct plan {
    struct plan_ground ground;
    uint32_t calls; /* groups of system calls, of settings/profile.h */
    enum plan_network network;
    bool stdout_file; /* the program's standard output is a file, which process 1 passes on */
    bool survey;      /* in place of a program it looks at its files: sandbox/survey.h */
    bool unpack;      /* in place of a program it takes an archive apart: sandbox/unpack.h */
    bool as_root;     /* the root way: ids are mapped by a spawner that is uid 0 */
    uid_t outer_uid;  /* the host uid behind PLAN_INNER_ID; never 0 */
    uint64_t memory_bytes;
    uint64_t disk_bytes;  /* of one file */
    uint64_t tree_bytes;  /* of what is in workspace, home and attachments together */
    uint64_t cpu_time_ms; /* of all its processes ever */
    uint32_t pids, files, cpu_percent;
    char *directory;   /* where the program begins */
    char *scratch;     /* BARE: see sandbox/scratch.h; else "" */
    char *brief;       /* BARE: the text for it; else "" */
    struct strv links; /* BARE: pairs of a path in home or scratch and what a link there leads to,
                          "" for no link (sandbox/scratch.h) */
    struct plan_step *steps;
    size_t step_count;
    struct plan_rule *rules;
    size_t rule_count;
    struct plan_host *hosts; /* ALLOWLIST only */
    size_t host_count;
    struct broker_list brokers; /* never with HOST; their keys go another way */
    char *ca_file;              /* "" for none */
    char *proxy;                /* where plan_has_egress(), as the next; "" for none */
    uid_t egress_uid;           /* 0: as the spawner */
    struct strv programs;       /* paths to try in order; the first that execve(2) takes wins */
    struct strv argv;
    struct strv env;
    char *bytes; /* of a decoded one: all texts but the brokers' lie in them; NULL: each is by
                    itself, and free(3) is for it */
    size_t bytes_len;
    /* Only for plan_explain(), and not encoded: */
    char *profile;                          /* its name */
    struct strv origins;                    /* sentences; the first one is "" */
    uint32_t word_origins[PLAN_WORD_COUNT]; /* of what comes from a setting */
    uint32_t calls_origin;
    uint32_t *env_origins; /* as many as env has */
};

/* -EINVAL with a sentence for what can't be planned. */
int plan_make(const struct plan_policy *policy, struct plan **ret_plan, struct err *err);
void plan_free(struct plan *p);
DEFINE_CLEANUP(struct plan *, plan_free);
/* Flat bytes for the socketpair to the spawner, and back; both ends are one binary. Decoding
 * refuses with -EINVAL whatever plan_encode() can't have written, and what no plan may ask for. */
void plan_encode(const struct plan *p, struct buf *b);
int plan_decode(const void *bytes, size_t len, struct plan **ret_plan, struct err *err);
/* The same of bytes on the heap, never NULL, that are taken over, also on failure, and wiped in the
 * end: what is read of them stays where it is. */
int plan_take(char *bytes, size_t len, struct plan **ret_plan, struct err *err);
/* The setting's key, as in settings/table.h. */
const char *plan_word_key(enum plan_word word);
/* On whose word a thing is there: "" where that isn't known, as in a decoded plan. */
const char *plan_origin(const struct plan *p, uint32_t origin);
/* The plan in plain words, completely: a line each for every path, host, limit, group of system
 * calls, variable, each with its origin in brackets. */
void plan_explain(const struct plan *p, struct buf *b);
/* Whether code of ours runs in place of a program. */
bool plan_is_ours(const struct plan *p);
/* Whether a process serves its way out (sandbox/gateway.h). */
bool plan_has_egress(const struct plan *p);
/* For a plain path of the sandbox, links not followed. */
enum plan_place plan_place_of(const struct plan *p, const char *path);
/* As root, for a sandbox that is no job's, such as a check's or a command's that a person runs:
 * another one than that of any process that lives beside pid, which is the caller's. */
uid_t plan_lone_uid(pid_t pid);
/* Absolute, shorter than PLAN_PATH_MAX, not "/", no empty part, no "." and no "..". */
bool plan_path_is_plain(const char *path);
/* What a step does, for messages: "mount the host's '/usr' at '/usr'", cut at size - 1. */
void plan_step_describe(const struct plan_step *step, char *text, size_t size);
