/* progress.h - what a task says that it does, on its way from the runner to the server. A value
 * whose strings are borrowed. Source: Nairi messages, section "Progress": the members are those of
 * agent_progress_v1, absent ones NULL. */
#pragma once

enum progress_type {
    PROGRESS_TEXT,      /* text */
    PROGRESS_TOOL_USE,  /* tool, input, status, tool_use_id, output */
    PROGRESS_HEARTBEAT, /* of a tool: tool, status, summary */
    PROGRESS_SUBAGENT,  /* status, summary */
    PROGRESS_STEP,      /* summary */
    PROGRESS_TYPE_COUNT
};

struct progress {
    enum progress_type type;
    const char *text;
    const char *tool;   /* its name */
    const char *input;  /* in short: the command, the file, the pattern */
    const char *status; /* "running", "completed", "error", or the program's own word */
    const char *output;
    const char *summary;
    const char *tool_use_id;
    const char *parent_tool_use_id; /* within a subagent */
};

/* "text", "tool_use", "tool_heartbeat", "subagent", "step": progress_type on the wire. */
const char *progress_type_name(enum progress_type type);
