#include "runner/claude_report.h"

#include "runner/shown.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

enum { BLOCKS_MAX = 32 /* of one line that become progress */ };

/* ---- assistant ---- */

/* The one member of a tool's input that says most. */
static const char *input_of(const char *tool, const struct json *input)
{
    static const struct {
        const char *tool, *member;
    } rows[] = {
        { "Read", "file_path" },    { "Write", "file_path" }, { "Edit", "file_path" },
        { "Bash", "command" },      { "Grep", "pattern" },    { "Glob", "pattern" },
        { "WebFetch", "url" },      { "WebSearch", "query" }, { "Task", "description" },
        { "Agent", "description" },
    };
    static const char *const usual[] = {
        "file_path", "path", "command", "query", "pattern", "url"
    };

    for (size_t i = 0; tool && i < ARRAY_SIZE(rows); i++)
        if (str_eq(rows[i].tool, tool))
            return json_get_str(input, rows[i].member);
    for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
        const char *s = json_get_str(input, usual[i]);

        if (!str_is_empty(s))
            return s;
    }
    return NULL;
}

static void report_call(const struct claude_report *r, const struct json *block, const char *parent)
{
    CLEANUP(shown_done)
    struct shown s = { .progress = { .type = PROGRESS_TOOL_USE, .status = "running" } };
    const char *name = json_get_str(block, "name");

    s.progress.tool = shown_text(&s, &s.tool, name, SHOWN_ID_MAX);
    s.progress.input =
        shown_text(&s, &s.input, input_of(name, json_get(block, "input")), SHOWN_SHORT_MAX);
    s.progress.tool_use_id = shown_text(&s, &s.id, json_get_str(block, "id"), SHOWN_ID_MAX);
    s.progress.parent_tool_use_id = shown_text(&s, &s.parent, parent, SHOWN_ID_MAX);
    if (s.progress.tool_use_id)
        toolcalls_add(r->calls, s.progress.tool_use_id, s.progress.tool, s.progress.input);
    shown_report(&s, r->fn, r->ctx);
}

void claude_report_assistant(const struct claude_report *r, const struct json *line)
{
    const struct json *content = json_get(json_get(line, "message"), "content");
    const char *parent = json_get_str(line, "parent_tool_use_id");
    size_t count = 0;

    if (json_get_str(line, "error")) /* its text is the failure, which the result line repeats */
        return;
    for (const struct json *b = json_first(content); b && count < BLOCKS_MAX; b = json_next(b)) {
        const char *type = json_get_str(b, "type");

        count++;
        if (str_eq(type, "text"))
            shown_say(json_get_str(b, "text"), parent, r->fn, r->ctx);
        else if (str_eq(type, "tool_use"))
            report_call(r, b, parent);
        else if (str_eq(type, "thinking"))
            shown_step("Thinking...", NULL, r->fn, r->ctx);
    }
}

/* ---- user: the results of tools ---- */

/* A string, or the first text of a list of parts. */
static const char *content_of(const struct json *result)
{
    const struct json *content = json_get(result, "content");

    if (json_is_string(content))
        return json_str(content);
    for (const struct json *part = json_first(content); part; part = json_next(part)) {
        const char *text = json_get_str(part, "text");

        if (text)
            return text;
    }
    return NULL;
}

static void report_result(const struct claude_report *r, const struct json *block,
                          const char *parent)
{
    CLEANUP(shown_done) struct shown s = { .progress = { .type = PROGRESS_TOOL_USE } };
    const struct toolcall *call;
    bool failed = false;

    (void)json_get_bool(block, "is_error", &failed); /* absent: it did not fail */
    s.progress.status = failed ? "error" : "completed";
    s.progress.output = shown_text(&s, &s.output, content_of(block), SHOWN_TEXT_MAX);
    s.progress.tool_use_id =
        shown_text(&s, &s.id, json_get_str(block, "tool_use_id"), SHOWN_ID_MAX);
    s.progress.parent_tool_use_id = shown_text(&s, &s.parent, parent, SHOWN_ID_MAX);
    call = toolcalls_find(r->calls, s.progress.tool_use_id);
    if (call) {
        s.progress.tool = call->name;
        s.progress.input = call->input;
    }
    shown_report(&s, r->fn, r->ctx);
}

void claude_report_user(const struct claude_report *r, const struct json *line)
{
    const struct json *content = json_get(json_get(line, "message"), "content");
    const char *parent = json_get_str(line, "parent_tool_use_id");
    size_t count = 0;

    for (const struct json *b = json_first(content); b && count < BLOCKS_MAX; b = json_next(b))
        if (str_eq(json_get_str(b, "type"), "tool_result")) {
            count++;
            report_result(r, b, parent);
        }
}

/* ---- what lasts ---- */

void claude_report_tool_progress(const struct claude_report *r, const struct json *line)
{
    CLEANUP(shown_done)
    struct shown s = { .progress = { .type = PROGRESS_HEARTBEAT, .status = "running" } };
    AUTO_FREE char *summary = NULL;
    double seconds = 0;

    if (json_get_double(line, "elapsed_time_seconds", &seconds) == 0 && seconds >= 0 &&
        seconds < 1e9)
        summary = mem_printf("Running for %.0fs...", seconds);
    s.progress.tool = shown_text(&s, &s.tool, json_get_str(line, "tool_name"), SHOWN_ID_MAX);
    s.progress.summary = summary;
    s.progress.tool_use_id = shown_text(&s, &s.id, json_get_str(line, "tool_use_id"), SHOWN_ID_MAX);
    s.progress.parent_tool_use_id =
        shown_text(&s, &s.parent, json_get_str(line, "parent_tool_use_id"), SHOWN_ID_MAX);
    shown_report(&s, r->fn, r->ctx);
}

/* A task is a subagent, or a shell command that takes long. */
static bool is_command(const struct json *line, const struct toolcall *call)
{
    return str_eq(json_get_str(line, "task_type"), "local_bash") ||
           (call && str_eq(call->name, "Bash"));
}

static void report_task(const struct claude_report *r, const struct json *line, const char *status,
                        const char *prefix, const char *what)
{
    CLEANUP(shown_done) struct shown s = { .progress = { .status = status } };
    AUTO_FREE char *summary = what ? mem_printf("%s%s", prefix, what) : NULL;
    const struct toolcall *call;
    bool command;

    s.progress.tool_use_id = shown_text(&s, &s.id, json_get_str(line, "tool_use_id"), SHOWN_ID_MAX);
    call = toolcalls_find(r->calls, s.progress.tool_use_id);
    command = is_command(line, call);
    s.progress.type = command ? PROGRESS_HEARTBEAT : PROGRESS_SUBAGENT;
    if (command)
        s.progress.tool = call && call->name ? call->name : "Bash";
    s.progress.summary = shown_text(&s, &s.summary, command ? what : summary, SHOWN_SHORT_MAX);
    shown_report(&s, r->fn, r->ctx);
}

static const char *cause_of(const char *error)
{
    static const struct {
        const char *error, *words;
    } rows[] = {
        { "rate_limit", "rate limited" },
        { "overloaded", "the API is overloaded" },
        { "authentication_failed", "the API refused the key" },
        { "server_error", "the API has a problem" },
    };

    for (size_t i = 0; error && i < ARRAY_SIZE(rows); i++)
        if (str_eq(rows[i].error, error))
            return rows[i].words;
    return "the API gave no answer";
}

static void report_retry(const struct claude_report *r, const struct json *line)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    uint64_t attempt = 0, most = 0, wait_ms = 0;
    double delay = 0;

    if (json_get_double(line, "retry_delay_ms", &delay) == 0 && delay > 0 && delay < 1e9)
        wait_ms = (uint64_t)delay;
    buf_printf(&b, "Retrying: %s", cause_of(json_get_str(line, "error")));
    if (json_get_u64(line, "attempt", &attempt) == 0) {
        buf_printf(&b, ", attempt %llu", (unsigned long long)attempt);
        if (json_get_u64(line, "max_retries", &most) == 0)
            buf_printf(&b, " of %llu", (unsigned long long)most);
    }
    if (wait_ms >= 1000)
        buf_printf(&b, ", in %llu s", (unsigned long long)(wait_ms / 1000));
    shown_step(buf_str(&b), "running", r->fn, r->ctx);
}

void claude_report_system(const struct claude_report *r, const struct json *line)
{
    const char *subtype = json_get_str(line, "subtype"), *status = json_get_str(line, "status");

    if (str_eq(subtype, "api_retry")) {
        report_retry(r, line);
    } else if (str_eq(subtype, "task_started")) {
        report_task(r, line, "running", "Subagent started: ", json_get_str(line, "description"));
    } else if (str_eq(subtype, "task_progress")) {
        report_task(r, line, "running", "", json_get_str(line, "description"));
    } else if (str_eq(subtype, "task_notification")) {
        bool failed = str_eq(status, "failed") || str_eq(status, "stopped");

        report_task(r, line, failed ? "error" : "completed", "", json_get_str(line, "summary"));
    } else if (str_eq(subtype, "status") && str_eq(status, "compacting")) {
        shown_step("Summarising the conversation to make room...", "running", r->fn, r->ctx);
    }
}
