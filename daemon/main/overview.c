#include "main/overview.h"

#include <stdbool.h>
#include <string.h>

#include "main/terminal.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/str.h"

enum { FIELD_MAX = 200 };

/* A text of the answer on one line, "?" where it is missing. */
static void add_text(struct buf *b, const struct json *node, const char *key)
{
    const char *text = json_get_str(node, key);

    terminal_fit(b, text ? text : "?", FIELD_MAX);
}

static void add_span(struct buf *b, uint64_t span_ms)
{
    char buffer[32];

    buf_append_str(b, clock_span(buffer, span_ms < 1000 ? span_ms : span_ms - span_ms % 1000));
}

/* The number under key, 0 where it is missing or is none. */
static uint64_t number(const struct json *node, const char *key)
{
    uint64_t n = 0;

    (void)json_get_u64(node, key, &n); /* 0 then */
    return n;
}

static bool has(const struct json *node, const char *key)
{
    return json_get(node, key) != NULL;
}

static void add_daemon(struct buf *b, const struct json *status)
{
    bool draining = false, disk_full = false;

    buf_append_str(b, "nairid ");
    add_text(b, status, "version");
    buf_printf(b, ", process %llu, up ", (unsigned long long)number(status, "pid"));
    add_span(b, number(status, "uptime_ms"));
    if (has(status, "agent_id")) {
        buf_append_str(b, ", agent ");
        add_text(b, status, "agent_id");
    }
    buf_append_char(b, '\n');
    (void)json_get_bool(status, "draining", &draining); /* false then */
    if (draining)
        buf_append_str(b, "draining: takes nothing new, ends when its tasks are answered\n");
    (void)json_get_bool(status, "disk_full", &disk_full); /* as above */
    if (disk_full)
        buf_append_str(b,
                       "the state directory's disk is full: takes nothing new until it has room\n");
}

static void add_connection(struct buf *b, const struct json *connection)
{
    add_text(b, connection, "state");
    if (has(connection, "url")) {
        buf_append_str(b,
                       str_eq(json_get_str(connection, "state"), "connected") ? " to " : " from ");
        add_text(b, connection, "url");
    }
    if (has(connection, "last_ok_ms_ago")) {
        buf_append_str(b, ", last answer ");
        add_span(b, number(connection, "last_ok_ms_ago"));
        buf_append_str(b, " ago");
    }
    if (has(connection, "retry_in_ms")) {
        buf_append_str(b, ", next try in ");
        add_span(b, number(connection, "retry_in_ms"));
    }
    buf_append_char(b, '\n');
}

static void add_queue(struct buf *b, const struct json *queue)
{
    buf_printf(
        b, "%llu of %llu running, %llu waiting", (unsigned long long)number(queue, "running"),
        (unsigned long long)number(queue, "slots"), (unsigned long long)number(queue, "waiting"));
    if (number(queue, "outbox") > 0)
        buf_printf(b, ", %llu to deliver", (unsigned long long)number(queue, "outbox"));
    buf_append_char(b, '\n');
}

static void add_thing(struct buf *b, uint64_t n, const char *what)
{
    if (n > 0)
        buf_printf(b, "%s%llu %s%s", b->len > 0 ? ", " : "", (unsigned long long)n, what,
                   n == 1 ? "" : "s");
}

static void add_list(struct buf *b, const struct json *list, const char *before)
{
    for (const struct json *item = json_first(list); item; item = json_next(item)) {
        buf_append_str(b, before);
        terminal_fit(b, json_str(item) ? json_str(item) : "?", FIELD_MAX);
        buf_append_char(b, '\n');
    }
}

/* What the server provides for tasks, where it provides anything or should. */
static void add_provided(struct buf *b, const struct json *provided)
{
    CLEANUP(buf_done) struct buf line = { 0 };

    add_thing(&line, json_len(json_get(provided, "variables")), "variable");
    add_thing(&line, number(provided, "rules"), "rule");
    add_thing(&line, number(provided, "skills"), "skill");
    add_thing(&line, number(provided, "mcp_servers"), "MCP server");
    if (line.len > 0)
        buf_printf(b, "provided: %s\n", buf_str(&line));
    if (str_eq(json_get_str(provided, "state"), "awaited"))
        buf_append_str(b, "tasks wait for what the server provides\n");
    add_list(b, json_get(provided, "problems"), "not provided: ");
    add_list(b, json_get(provided, "hosts_not_allowed"), "an MCP server's host is not allowed: ");
}

static void add_job(struct buf *b, const struct json *job, uint64_t now_mono_ms, size_t columns)
{
    CLEANUP(buf_done) struct buf line = { 0 };
    uint64_t started_ms = number(job, "started_ms"), attempt = number(job, "attempt");
    bool quarantined = false;

    add_text(&line, job, "id");
    buf_append_char(&line, ' ');
    add_text(&line, job, "state");
    if (started_ms > 0 && started_ms <= now_mono_ms) {
        buf_append_str(&line, " for ");
        add_span(&line, now_mono_ms - started_ms);
    }
    if (attempt > 1)
        buf_printf(&line, ", attempt %llu", (unsigned long long)attempt);
    (void)json_get_bool(job, "quarantined", &quarantined); /* false then */
    if (quarantined)
        buf_append_str(&line, ", quarantined: a process of it can't be killed");
    if (has(job, "progress")) {
        buf_append_str(&line, ": ");
        add_text(&line, job, "progress");
    }
    terminal_fit(b, buf_str(&line), columns);
    buf_append_char(b, '\n');
}

/* ---- what changed ---- */

static void describe_job(struct buf *line, const struct json *job)
{
    bool quarantined = false;

    add_text(line, job, "id");
    buf_append_char(line, ' ');
    add_text(line, job, "state");
    if (number(job, "attempt") > 1)
        buf_printf(line, ", attempt %llu", (unsigned long long)number(job, "attempt"));
    (void)json_get_bool(job, "quarantined", &quarantined); /* false then */
    if (quarantined)
        buf_append_str(line, ", quarantined");
    if (has(job, "progress")) {
        buf_append_str(line, ": ");
        add_text(line, job, "progress");
    }
    buf_append_char(line, '\n');
}

static const struct json *find_message(const struct json *status, const char *message)
{
    const struct json *jobs = json_get(status, "jobs");

    for (const struct json *job = json_first(jobs); job; job = json_next(job))
        if (message && str_eq(json_get_str(job, "message"), message))
            return job;
    return NULL;
}

static void change_job(struct buf *b, const struct json *before, const struct json *job)
{
    CLEANUP(buf_done) struct buf line = { 0 }, old = { 0 };

    describe_job(&line, job);
    if (before)
        describe_job(&old, before);
    if (!str_eq(buf_str(&line), buf_str(&old)))
        buf_append_str(b, buf_str(&line));
}

void overview_changes(struct buf *b, const struct json *before, const struct json *status)
{
    const struct json *jobs = json_get(status, "jobs"), *gone = json_get(before, "jobs");
    const char *state = json_get_str(json_get(status, "connection"), "state");
    const char *message;

    if (state && !str_eq(state, json_get_str(json_get(before, "connection"), "state"))) {
        terminal_fit(b, state, FIELD_MAX);
        buf_append_char(b, '\n');
    }
    for (const struct json *job = json_first(jobs); job; job = json_next(job))
        change_job(b, find_message(before, json_get_str(job, "message")), job);
    for (const struct json *job = json_first(gone); job; job = json_next(job)) {
        message = json_get_str(job, "message");
        if (message && !find_message(status, message)) {
            add_text(b, job, "id");
            buf_append_str(b, " done\n");
        }
    }
}

void overview_print(struct buf *b, const struct json *status, uint64_t now_mono_ms, size_t columns)
{
    const struct json *jobs = json_get(status, "jobs");

    add_daemon(b, status);
    if (has(status, "connection"))
        add_connection(b, json_get(status, "connection"));
    if (has(status, "queue"))
        add_queue(b, json_get(status, "queue"));
    add_provided(b, json_get(status, "provisioning"));
    for (const struct json *job = json_first(jobs); job; job = json_next(job))
        add_job(b, job, now_mono_ms, columns);
}
