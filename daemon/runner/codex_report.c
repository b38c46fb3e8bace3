#include "runner/codex_report.h"

#include "runner/shown.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/str.h"

enum { CHANGES_MAX = 16 }; /* files that one message names */

/* ---- what items are about ---- */

static void add_changes(const struct json *item, struct buf *b)
{
    size_t count = 0;

    for (const struct json *c = json_first(json_get(item, "changes")); c; c = json_next(c)) {
        const char *path = json_get_str(c, "path");

        if (!path)
            continue;
        if (count++ == CHANGES_MAX) {
            buf_append_str(b, ", ...");
            return;
        }
        buf_printf(b, "%s%s", count > 1 ? ", " : "", path);
    }
}

/* Its name is that of its server's, in whichever members they are. */
static void add_mcp_name(const struct json *item, struct buf *b)
{
    const char *server = json_get_str(item, "server"), *tool = json_get_str(item, "tool");

    server = server ? server : json_get_str(item, "server_name");
    tool = tool ? tool : json_get_str(item, "tool_name");
    buf_printf(b, "mcp:%s/%s", server ? server : "", tool ? tool : "");
}

static void add_checklist(const struct json *item, struct buf *b)
{
    size_t all = 0, done = 0;

    for (const struct json *i = json_first(json_get(item, "items")); i; i = json_next(i)) {
        bool is_done = false;

        (void)json_get_bool(i, "completed", &is_done); /* absent: it isn't */
        all++;
        done += is_done;
    }
    buf_printf(b, "Updated checklist: %zu/%zu items done", done, all);
}

/* ---- as progress ---- */

/* The item's own word where there is one, else that of the line's type. */
static const char *status_of(const struct json *item, const char *type)
{
    static const struct {
        const char *theirs, *ours;
    } rows[] = {
        { "in_progress", "running" }, { "completed", "completed" }, { "failed", "error" },
        { "declined", "error" },      { "interrupted", "error" },
    };
    const char *status = json_get_str(item, "status");

    for (size_t i = 0; status && i < ARRAY_SIZE(rows); i++)
        if (str_eq(rows[i].theirs, status))
            return rows[i].ours;
    return str_eq(type, "completed") ? "completed" : "running";
}

static void report_tool(const struct json *item, const char *type, const char *tool,
                        const char *input, runner_event_fn fn, void *ctx)
{
    CLEANUP(shown_done) struct shown s = { .progress = { .type = PROGRESS_TOOL_USE } };

    s.progress.status = status_of(item, type);
    s.progress.tool = shown_text(&s, &s.tool, tool, SHOWN_ID_MAX);
    s.progress.input = shown_text(&s, &s.input, input, SHOWN_SHORT_MAX);
    s.progress.tool_use_id = shown_text(&s, &s.id, json_get_str(item, "id"), SHOWN_ID_MAX);
    if (str_eq(type, "completed"))
        s.progress.output =
            shown_text(&s, &s.output, json_get_str(item, "aggregated_output"), SHOWN_TEXT_MAX);
    shown_report(&s, fn, ctx);
}

static void report_subagent(const struct json *item, const char *type, runner_event_fn fn,
                            void *ctx)
{
    CLEANUP(shown_done) struct shown s = { .progress = { .type = PROGRESS_SUBAGENT } };
    const char *text = json_get_str(item, "text");

    s.progress.status = status_of(item, type);
    text = text ? text : json_get_str(item, "prompt");
    s.progress.summary = shown_text(&s, &s.summary, text, SHOWN_SHORT_MAX);
    shown_report(&s, fn, ctx);
}

void codex_report_item(const struct json *item, const char *type, runner_event_fn fn, void *ctx)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    const char *kind = json_get_str(item, "type");
    bool is_done = str_eq(type, "completed");

    if (str_eq(kind, "command_execution")) {
        report_tool(item, type, kind, json_get_str(item, "command"), fn, ctx);
    } else if (str_eq(kind, "file_change")) {
        add_changes(item, &b);
        report_tool(item, type, kind, buf_str(&b), fn, ctx);
    } else if (str_eq(kind, "mcp_tool_call")) {
        add_mcp_name(item, &b);
        report_tool(item, type, buf_str(&b), NULL, fn, ctx);
    } else if (str_eq(kind, "web_search")) {
        report_tool(item, type, kind, json_get_str(item, "query"), fn, ctx);
    } else if (str_eq(kind, "agent_message") && is_done) {
        shown_say(json_get_str(item, "text"), NULL, fn, ctx);
    } else if (str_eq(kind, "reasoning") && is_done) {
        shown_step("Reasoning...", NULL, fn, ctx);
    } else if (str_eq(kind, "todo_list")) {
        add_checklist(item, &b);
        shown_step(buf_str(&b), NULL, fn, ctx);
    } else if (str_eq(kind, "collab_tool_call")) {
        report_subagent(item, type, fn, ctx);
    } else if (str_eq(kind, "error") && is_done) { /* a warning: nothing failed */
        shown_step(json_get_str(item, "message"), NULL, fn, ctx);
    }
}
