/* runner.h - what differs between the programs that can do a task. Core: pure functions, no
 * process. A runner says how to start its program and how to read what it prints; it never sees
 * either. */
#pragma once
#include "settings/settings.h"
#include "task/task.h"
#include <stdbool.h>
#include <stddef.h>

struct err;
struct runner_parser;

/* How to start one attempt. Filled by prepare; runner_start_done() frees. */
struct runner_start {
    struct strv argv;
    struct strv env; /* NAME=value, runner.env included */
    char *input;     /* standard input: the prompt, never on argv */
    size_t input_len;
    bool workspace_read_only;
};

enum runner_event_type { RUNNER_PROGRESS_TEXT, RUNNER_PROGRESS_TOOL, RUNNER_SESSION };
struct runner_event {
    enum runner_event_type type;
    const char *text; /* borrowed for the call */
    bool cut;         /* text is only the beginning of what was said */
    const char *tool_name;
    const char *tool_status;
};
typedef void (*runner_event_fn)(const struct runner_event *ev, void *ctx);

/* What the program said in the end, before limits, signals and so on are considered. */
struct runner_result {
    bool ok;              /* a final answer in text, which may be empty */
    char *text;           /* the answer, or for !ok the runner's own error sentence or NULL */
    size_t dropped_bytes; /* of the answer, past the reply limit */
};

struct runner {
    const char *name;
    int (*prepare)(const struct settings *settings, const struct task *task,
                   struct runner_start *ret_start, struct err *err);
    struct runner_parser *(*parser_new)(const struct settings *settings);
    /* One piece of standard output, cut anywhere. */
    void (*feed)(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
                 void *ctx);
    /* After the last piece. exit_ok: the program ended with status 0. */
    void (*finish)(struct runner_parser *p, bool exit_ok, struct runner_result *ret_result);
    void (*parser_free)(struct runner_parser *p);
};

/* NULL for a name nobody knows. */
const struct runner *runner_find(const char *name);
/* Checks at start-up that settings suit the runner: -EINVAL with a sentence naming the key. */
int runner_check(const struct settings *settings, struct err *err);
void runner_start_done(struct runner_start *s);
void runner_result_done(struct runner_result *r);
