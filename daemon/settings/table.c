#include "settings/table.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "settings/settings.h"
#include "util/cleanup.h"
#include "util/str.h"

#define AT(member) offsetof(struct settings, member)
#define SECOND     1000ull
#define MINUTE     (60 * SECOND)
#define HOUR       (60 * MINUTE)
#define DAY        (24 * HOUR)
#define KIB        1024ull
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)
#define TIB        (1024 * GIB)
#define RELOAD     .reloadable = true
#define FIXED      .fixed = true

/* clang-format off */
static const struct table_row rows[] = {
    { .key = "server.url", .type = TABLE_URL, .offset = AT(server_url),
      .standard = "https://api.nairi.ai",
      .help = "the control plane" },
    { .key = "server.poll", .type = TABLE_MS, .offset = AT(server_poll_ms),
      .standard = "50s", .min = 1 * SECOND, .max = 5 * MINUTE, RELOAD,
      .help = "how long one long poll may stay open" },
    { .key = "server.poll_interval", .type = TABLE_MS, .offset = AT(server_poll_interval_ms),
      .standard = "30s", .min = 100, .max = 1 * HOUR, RELOAD,
      .help = "time between polls where the server doesn't offer long polls" },
    { .key = "server.realtime", .type = TABLE_CHOICE, .offset = AT(server_realtime),
      .standard = "auto", .choices = "auto on off", RELOAD,
      .help = "whether new messages come by the realtime channel; auto: where the server doesn't "
              "offer long polls" },
    { .key = "server.request_timeout", .type = TABLE_MS, .offset = AT(server_request_timeout_ms),
      .standard = "60s", .min = 1 * SECOND, .max = 10 * MINUTE,
      .help = "longest time for a request that doesn't wait at the server" },
    { .key = "server.ca_file", .type = TABLE_PATH, .offset = AT(server_ca_file),
      .standard = "", .off = "",
      .help = "certificates to trust instead of the system's" },
    { .key = "server.proxy", .type = TABLE_PROXY, .offset = AT(server_proxy),
      .standard = "", .off = "",
      .help = "HTTP proxy; empty: the environment's" },
    { .key = "agent.id", .type = TABLE_ID, .offset = AT(agent_id),
      .standard = "", .off = "",
      .help = "which agent this daemon answers for; required" },
    { .key = "api_key_file", .type = TABLE_PATH, .offset = AT(api_key_file),
      .standard = "", .off = "",
      .help = "file with the agent key, mode 0600" },
    { .key = "max_concurrency", .type = TABLE_NUMBER, .offset = AT(max_concurrency),
      .standard = "4", .min = 1, .max = 1024, RELOAD,
      .help = "jobs worked on at the same time; 1 where there is no file" },
    { .key = "max_queued", .type = TABLE_NUMBER, .offset = AT(max_queued),
      .standard = "1000", .min = 1, .max = 1000000, RELOAD,
      .help = "messages taken from the server and not yet finished" },
    { .key = "drain_timeout", .type = TABLE_MS, .offset = AT(drain_timeout_ms),
      .standard = "5m", .min = 0, .max = 1 * DAY, RELOAD,
      .help = "how long running tasks may go on after a stop was asked for" },
    { .key = "job.idle", .type = TABLE_MS, .offset = AT(job_idle_ms),
      .standard = "25h", .min = 1 * SECOND, .max = 30 * DAY, RELOAD,
      .help = "a job without messages for so long is complete, where the server asks for such" },
    { .key = "task.timeout", .type = TABLE_MS, .offset = AT(task_timeout_ms),
      .standard = "1h", .min = 100, .max = 7 * DAY, RELOAD,
      .help = "longest time for one message" },
    { .key = "task.idle_timeout", .type = TABLE_MS, .offset = AT(task_idle_timeout_ms),
      .standard = "10m", .min = 100, .max = 7 * DAY, RELOAD,
      .help = "longest time without any output" },
    { .key = "task.max_attempts", .type = TABLE_NUMBER, .offset = AT(task_max_attempts),
      .standard = "3", .min = 1, .max = 1000, RELOAD,
      .help = "how often a message is begun that a crash cut short" },
    { .key = "task.output_limit", .type = TABLE_SIZE, .offset = AT(task_output_limit_bytes),
      .standard = "64M", .min = 1 * KIB, .max = 1 * GIB, RELOAD,
      .help = "output of the runner past which the task is stopped" },
    { .key = "task.reply_limit", .type = TABLE_SIZE, .offset = AT(task_reply_limit_bytes),
      .standard = "256K", .min = 1 * KIB, .max = 16 * MIB, RELOAD,
      .help = "longest reply that is sent; the rest is cut off" },
    { .key = "runner.name", .type = TABLE_CHOICE, .offset = AT(runner_name),
      .standard = "claude", .choices = "claude command codex cursor opencode nomic nexora", RELOAD,
      .help = "what does the work" },
    { .key = "runner.model", .type = TABLE_TEXT, .offset = AT(runner_model),
      .standard = "", .off = "", RELOAD,
      .help = "model that the runner is told to use" },
    { .key = "runner.program", .type = TABLE_TEXT, .offset = AT(runner_program),
      .standard = "", .off = "", RELOAD,
      .help = "where the runner's program is; empty: by its usual name" },
    { .key = "runner.argv", .type = TABLE_WORDS, .offset = AT(runner_argv),
      .standard = "[]", RELOAD,
      .help = "program and arguments of the command runner" },
    { .key = "runner.permissions", .type = TABLE_PERMISSIONS, .offset = AT(runner_permissions),
      .standard = "edits", .choices = "edits bypass", RELOAD,
      .help = "what the runner may do without asking" },
    { .key = "runner.env", .type = TABLE_ENV, .offset = AT(runner_env),
      .standard = "{}", RELOAD,
      .help = "environment of the task" },
    { .key = "runner.secrets", .type = TABLE_FILES, .offset = AT(runner_secrets),
      .standard = "{}",
      .help = "environment of the task whose values are read from files and masked in replies" },
    { .key = "runner.broker", .type = TABLE_SWITCH, .offset = AT(runner_broker),
      .standard = "on", .choices = "on off", RELOAD,
      .help = "whether API keys that can be kept out of tasks are" },
    { .key = "runner.mcp_gateway", .type = TABLE_URL, .offset = AT(runner_mcp_gateway),
      .standard = "", .off = "", RELOAD,
      .help = "URL of a gateway whose MCP servers tasks use in place of the server's" },
    { .key = "broker", .type = TABLE_BROKERS, .offset = AT(broker),
      .standard = "[]",
      .help = "APIs that tasks use without having the key: [{name, key: {file: PATH}, ...}]" },
    { .key = "sandbox.profile", .type = TABLE_CHOICE, .offset = AT(sandbox_profile),
      .standard = "agent", .choices = "strict agent host", RELOAD,
      .help = "how much of the machine a task sees" },
    { .key = "sandbox.read", .type = TABLE_PATHS, .offset = AT(sandbox_read),
      .standard = "[]", RELOAD,
      .help = "paths that a task may read besides the profile's" },
    { .key = "sandbox.write", .type = TABLE_PATHS, .offset = AT(sandbox_write),
      .standard = "[]", RELOAD,
      .help = "paths that a task may write besides its workspace and home" },
    { .key = "sandbox.network.mode", .type = TABLE_CHOICE, .offset = AT(sandbox_network_mode),
      .standard = "", .off = "", .choices = "none allowlist host", RELOAD,
      .help = "a task's network; empty: from the profile" },
    { .key = "sandbox.network.allow", .type = TABLE_HOSTS, .offset = AT(sandbox_network_allow),
      .standard = "[]", RELOAD,
      .help = "HOST:PORT that a task may reach in mode allowlist" },
    { .key = "sandbox.network.proxy", .type = TABLE_PROXY, .offset = AT(sandbox_network_proxy),
      .standard = "", .off = "", RELOAD,
      .help = "HTTP proxy on tasks' way out; empty: server.proxy" },
    { .key = "sandbox.limits.memory", .type = TABLE_SIZE,
      .offset = AT(sandbox_limits_memory_bytes),
      .standard = "4G", .min = 16 * MIB, .max = 64 * TIB, RELOAD,
      .help = "memory of one task" },
    { .key = "sandbox.limits.pids", .type = TABLE_NUMBER, .offset = AT(sandbox_limits_pids),
      .standard = "512", .min = 8, .max = 4194304, RELOAD,
      .help = "processes and threads of one task" },
    { .key = "sandbox.limits.cpu", .type = TABLE_PERCENT,
      .offset = AT(sandbox_limits_cpu_percent),
      .standard = "200%", .min = 1, .max = 100000, RELOAD,
      .help = "processors that one task may use at a time, where cgroups can hold it; 100% is one" },
    { .key = "sandbox.limits.cpu_time", .type = TABLE_MS,
      .offset = AT(sandbox_limits_cpu_time_ms),
      .standard = "2h", .min = 1 * SECOND, .max = 7 * DAY, RELOAD,
      .help = "processor time that one task may use up in all" },
    { .key = "sandbox.limits.disk", .type = TABLE_SIZE, .offset = AT(sandbox_limits_disk_bytes),
      .standard = "10G", .min = 1 * MIB, .max = 64 * TIB, RELOAD,
      .help = "disk space of a job's files, and the largest file that a task may write" },
    { .key = "sandbox.limits.files", .type = TABLE_NUMBER, .offset = AT(sandbox_limits_files),
      .standard = "4096", .min = 16, .max = 1048576, RELOAD,
      .help = "open files of each process of a task" },
    { .key = "sandbox.accept", .type = TABLE_WORDS, .offset = AT(sandbox_accept),
      .standard = "[]",
      .help = "names of walls that this machine lacks and that you do without" },
    { .key = "sandbox.warm", .type = TABLE_NUMBER, .offset = AT(sandbox_warm),
      .standard = "0", .max = 64, RELOAD,
      .help = "sandboxes that are made before their tasks and kept ready" },
    { .key = "workspace.root", .type = TABLE_PATH, .offset = AT(workspace_root),
      .standard = "", .off = "",
      .help = "where jobs live; empty: jobs in the state directory" },
    { .key = "workspace.repo", .type = TABLE_TEXT, .offset = AT(workspace_repo),
      .standard = "none", .off = "none", FIXED, RELOAD,
      .help = "repository that jobs work on" },
    { .key = "workspace.retention", .type = TABLE_S, .offset = AT(workspace_retention_s),
      .standard = "7d", .min = 0, .max = 3650ull * 24 * 3600, RELOAD,
      .help = "how long a job's files are kept after its last message" },
    { .key = "journal.retention", .type = TABLE_S, .offset = AT(journal_retention_s),
      .standard = "7d", .min = 3600, .max = 3650ull * 24 * 3600, RELOAD,
      .help = "how long the ids of finished messages are remembered" },
    { .key = "attachments.max", .type = TABLE_SIZE, .offset = AT(attachments_max_bytes),
      .standard = "50M", .min = 1 * KIB, .max = 1 * GIB, RELOAD,
      .help = "largest attachment, each way" },
    { .key = "metrics.listen", .type = TABLE_TEXT, .offset = AT(metrics_listen),
      .standard = "off", .off = "off", FIXED,
      .help = "address for metrics" },
    { .key = "log.level", .type = TABLE_CHOICE, .offset = AT(log_level),
      .standard = "info", .choices = "error warning notice info debug", RELOAD,
      .help = "least important line that is logged" },
    { .key = "log.format", .type = TABLE_CHOICE, .offset = AT(log_format),
      .standard = "auto", .choices = "auto text json journal", RELOAD,
      .help = "form of a log line; auto: journal under systemd, otherwise text" },
};
/* clang-format on */

static const char *const sections[] = {
    "server",
    "agent",
    "job",
    "task",
    "runner",
    "sandbox",
    "sandbox.network",
    "sandbox.limits",
    "workspace",
    "journal",
    "attachments",
    "metrics",
    "log",
};

static_assert(30ull * DAY <= UINT32_MAX, "durations are 32 bits of milliseconds");

/* Sections of the design that come with a later version: named so that nobody looks for a typing
 * error. */
static const char *const planned[] = { "forge", "nexora", "nomic" };

const struct table_row *table_row(size_t index)
{
    return index < ARRAY_SIZE(rows) ? &rows[index] : NULL;
}

size_t table_len(void)
{
    return ARRAY_SIZE(rows);
}

const struct table_row *table_find(const char *key, size_t *ret_index)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (str_eq(rows[i].key, key)) {
            if (ret_index)
                *ret_index = i;
            return &rows[i];
        }
    return NULL;
}

static bool is_below(const char *key, const char *section)
{
    return str_starts_with(key, section) && key[strlen(section)] == '.';
}

bool table_is_section(const char *section)
{
    for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
        if (str_eq(sections[i], section))
            return true;
    return false;
}

bool table_is_planned(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(planned); i++)
        if (str_eq(key, planned[i]) || is_below(key, planned[i]))
            return true;
    return false;
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

const char *table_nearest(const char *key)
{
    const char *full[ARRAY_SIZE(rows) + ARRAY_SIZE(sections)], *last[ARRAY_SIZE(rows)], *hit;

    memcpy(full + ARRAY_SIZE(rows), sections, sizeof sections);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        full[i] = rows[i].key;
        last[i] = last_part(rows[i].key);
        if (str_eq(last[i], last_part(key))) /* the right name in the wrong section */
            return rows[i].key;
    }
    hit = str_nearest(key, full, ARRAY_SIZE(full));
    if (hit)
        return hit;
    hit = str_nearest(last_part(key), last, ARRAY_SIZE(rows));
    for (size_t i = 0; hit && i < ARRAY_SIZE(rows); i++)
        if (last[i] == hit)
            return rows[i].key;
    return NULL;
}

const char *table_variable(char buffer[TABLE_KEY_MAX + 8], const struct table_row *row)
{
    static const char prefix[] = "NAIRID_";
    size_t n = sizeof prefix - 1;

    assert(strlen(row->key) < TABLE_KEY_MAX);
    memcpy(buffer, prefix, n);
    for (const char *c = row->key; *c; c++)
        buffer[n++] = *c == '.' ? '_' : (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    buffer[n] = '\0';
    return buffer;
}
