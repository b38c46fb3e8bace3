/* settings.h - every setting, from one table: YAML file, then environment, then flags.
 * The row of a key (settings/table.c) holds its name, type, default, range, whether a reload may
 * change it, and its one-line help; parser, defaults, range errors, `nairid config`, the example
 * file's test and the manual page's test all read that table. A plain value; settings_done() frees
 * what it holds. Parsing fills a fresh one; a reload swaps it whole or not at all. */
#pragma once
#include "settings/broker.h"
#include "settings/heritage.h"
#include "util/strv.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct buf;
struct profile;

enum settings_permissions { SETTINGS_EDITS, SETTINGS_BYPASS };

/* NAME: value pairs in the order of the file. */
struct settings_pair {
    char *name;
    char *value; /* for runner.secrets: the path of the file */
};
struct settings_pairs {
    struct settings_pair *items;
    size_t len;
};

struct settings {
    char *server_url;
    uint32_t server_poll_ms;
    uint32_t server_poll_interval_ms;
    char *server_realtime; /* auto, on, off */
    uint32_t server_request_timeout_ms;
    char *server_ca_file;
    char *server_proxy;
    char *agent_id;
    char *api_key_file;
    uint32_t max_concurrency;
    uint32_t max_queued;
    uint32_t drain_timeout_ms;
    uint32_t job_idle_ms;
    uint32_t task_timeout_ms;
    uint32_t task_idle_timeout_ms;
    uint32_t task_max_attempts;
    uint64_t task_output_limit_bytes;
    uint64_t task_reply_limit_bytes;
    char *runner_name;
    char *runner_model;
    char *runner_program;
    struct strv runner_argv;
    enum settings_permissions runner_permissions;
    struct settings_pairs runner_env;
    struct settings_pairs runner_secrets;  /* value: a file's path */
    struct settings_pairs runner_provided; /* variables from the control plane, no setting: what the
                                              operator says of a name goes before them */
    bool runner_broker;
    char *runner_mcp_gateway;
    struct broker_list broker;
    char *sandbox_profile;
    struct strv sandbox_read;
    struct strv sandbox_write;
    char *sandbox_network_mode; /* resolved: "none", "allowlist", "host"; never NULL */
    struct strv sandbox_network_allow;
    char *sandbox_network_proxy;
    uint64_t sandbox_limits_memory_bytes;
    uint32_t sandbox_limits_pids;
    uint32_t sandbox_limits_cpu_percent;
    uint32_t sandbox_limits_cpu_time_ms;
    uint64_t sandbox_limits_disk_bytes;
    uint32_t sandbox_limits_files;
    struct strv sandbox_accept;
    uint32_t sandbox_warm;
    char *workspace_root; /* resolved: STATE/jobs unless set */
    char *workspace_repo;
    uint32_t workspace_retention_s;
    uint32_t journal_retention_s;
    uint64_t attachments_max_bytes;
    char *metrics_listen;
    char *log_level;  /* "error" .. "debug" */
    char *log_format; /* "auto", "text", "json", "journal" */

    struct profile *profile; /* that of sandbox.profile; NULL in a struct made by hand */
    /* resolved, absolute: --state, STATE_DIRECTORY, XDG_STATE_HOME/nairid, as root /var/lib/nairid,
     * otherwise HOME/.local/state/nairid */
    char *state_dir;
    char *file; /* the YAML file that was read, NULL if there was none */
    /* The ".env" of the present daemon (settings/envfile.h), NULL where no place for it is known:
     * it needn't be there. And the names in runner.env that came from it, and from the process
     * environment: their values are secrets. */
    char *env_file;
    struct strv env_names, env_inherited;
    char *agent_repo;     /* of the working directory, where that counts: "github.com/owner/name" */
    bool agent_from_repo; /* agent.id is that, for want of another */
    /* Where each value comes from, in the table's order: "FILE:LINE:COLUMN", "environment variable
     * NAME", "option --NAME"; NULL for a default. NULL altogether in a struct made by hand. */
    char **origin;
    struct heritage heritage; /* of the present daemon's settings, what was found */
    /* Sentences for the log: what was found and has no effect, or is unwise. */
    struct strv warnings;
};

/* One "KEY=VALUE" from the command line, by the key's full name ("server.url"). */
struct settings_flag {
    const char *key;
    const char *value;
    const char *flag; /* how the user wrote it, for messages: "--max-concurrency" */
};

struct settings_input {
    const char *file;           /* -c; NULL: search NAIRID_CONFIG, XDG_CONFIG_HOME, /etc */
    const char *const *environ; /* as environ(7): read, never kept */
    const struct settings_flag *flags;
    size_t flag_count;
    const char *state_dir; /* --state, NULL if not given */
    /* As the daemon that we replace, where there is no file: the working directory's repository
     * may say agent.id, each agent has a state directory of its own (settings/namespace.h), and
     * tasks get the model's key that the environment holds. For `nairid` without a verb. */
    bool as_before;
    const char *repo; /* then: the repository, where it is known already; NULL: look */
    uid_t uid;
};

/* Below the usual state directory, what holds those of agents where no file tells them apart. */
#define SETTINGS_INSTANCES "instances"

/* Reads file, environment and flags over the defaults. Errors: -ENOENT for a named file that isn't
 * there, -EINVAL with "FILE:LINE:COLUMN: what, nearest name or range" for anything wrong in it,
 * -EMSGSIZE for one past 1 MiB, -EPERM for one that anybody may write. Does not read the agent key.
 * Variables: NAIRID_ and the key in capitals, dots as _; lists and maps in them (and in flags) as
 * in YAML: [a, b], {NAME: value}; an empty one counts as unset. Legacy: NAIRI_WS_API_URL,
 * EKSEC_WS_API_URL, NAIRI_AGENT_ID, EKSEC_AGENT_ID, MAX_CONCURRENCY, AGENT_HTTP_PROXY,
 * AGENT_MCP_PROXY. Without a file
 * max_concurrency is 1, as in the daemon we replace. */
int settings_load(const struct settings_input *input, struct settings *ret_settings,
                  struct err *err);
/* Where the state is, which no file says: input->state_dir, else STATE_DIRECTORY, else
 * XDG_STATE_HOME/nairid, else /var/lib/nairid for root. Absolute, to be freed. For verbs that want
 * to know no more; the other members but environ and uid aren't looked at. */
int settings_state_dir(const struct settings_input *input, char **ret_dir, struct err *err);
/* Whether the daemon could run with them: -EINVAL with a sentence for what is missing,
 * contradictory or not available in this version. Apart from settings_load() so that `nairid
 * config` can still show them. */
int settings_check(const struct settings *s, struct err *err);
/* Where the value of a key of ours comes from, for the beginning of a sentence about it:
 * "FILE:LINE:COLUMN: ", or "" for a default. Returns buffer. */
enum { SETTINGS_PLACE_MAX = 320 };
const char *settings_place(const struct settings *s, const char *key,
                           char buffer[SETTINGS_PLACE_MAX]);
void settings_done(struct settings *s);

/* For `nairid config`: "key: value  # source" for each key in the table's order; secrets masked. */
void settings_print(const struct settings *s, struct buf *b);
/* Names of the keys that differ and may only change by a restart; for the log after HUP. */
void settings_unreloadable(const struct settings *old, const struct settings *fresh,
                           struct strv *ret_keys);
