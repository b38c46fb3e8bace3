/* progress.h - what a task says that it does, on its way from the runner to the server. A value
 * whose strings are borrowed. Source: Nairi messages, section "Progress": the members are those of
 * agent_progress_v1, absent ones NULL. */
#pragma once

struct buf;

enum {
    PROGRESS_TEXT_MAX = 2000, /* bytes of text, input, output and summary in a copy */
    PROGRESS_NAME_MAX = 200   /* of the others */
};

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
/* A bounded copy, cut on character boundaries, whose strings live in it: freed with free(). */
struct progress *progress_copy(const struct progress *p);
/* One line for a person: "Bash: make test", or else what was said. Nothing where there is
 * nothing. */
void progress_describe(const struct progress *p, struct buf *b);
