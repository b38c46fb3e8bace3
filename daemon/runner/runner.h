/* runner.h - what differs between the programs that can do a task. Core: pure functions, no
 * process. A runner says how to start its program and how to read what it prints; it never sees
 * either. */
#pragma once
#include "runner/provider.h"
#include "settings/settings.h"
#include "task/attached.h"
#include "task/progress.h"
#include "task/task.h"
#include "task/usage.h"
#include <stdbool.h>
#include <stddef.h>

struct err;
struct runner_parser;

/* One attempt, as the runner is told of it. Borrowed. */
struct runner_turn {
    const struct task *task;
    const struct attached *attached; /* the files that came with the message; NULL: none */
    const char *session; /* the program's own id of the conversation to go on with; NULL: none */
    bool has_mcp;        /* RUNNER_MCP_PATH is there */
    const char *outbox;  /* where the program puts files for people; NULL: there is no such place */
};

/* Where the sandbox has runner_start.brief: what is too private and too long for argv. */
#define RUNNER_BRIEF_PATH "/nairid/brief"
/* Where it has the MCP servers that the control plane provides, read-only. */
#define RUNNER_MCP_PATH   "/nairid/mcp.json"
/* Where Codex has them, and rules; only where a task's /etc is made for it. Source: Codex's
 * documentation, "Config basics": the system's file, below all others. */
#define RUNNER_CODEX_PATH "/etc/codex/config.toml"

/* How to start one attempt. Filled by prepare; runner_start_done() frees. */
struct runner_start {
    struct strv argv;
    struct strv env;  /* NAME=value, runner.env included */
    struct strv read; /* host paths that the program needs besides the profile's, read-only */
    char *input;      /* standard input: the prompt, never on argv */
    size_t input_len;
    char *brief; /* text shown to the program as the file RUNNER_BRIEF_PATH, read-only; NULL none */
    bool workspace_read_only;
    /* The program doesn't wait until all it wrote to a pipe is read before it ends: it gets a file
     * as its standard output, which is passed on from there. */
    bool stdout_file;
};

enum { RUNNER_SESSION_MAX = 64 }; /* bytes of an id of a conversation */

enum runner_event_type {
    RUNNER_PROGRESS, /* progress */
    RUNNER_SESSION,  /* session: the id under which the conversation can be gone on with */
    RUNNER_FINAL     /* the result is there: what still runs is no work any more */
};
struct runner_event {
    enum runner_event_type type;
    const struct progress *progress; /* borrowed for the call, as all below; valid UTF-8 */
    const char *session;
    bool cut; /* some text of the progress is only the beginning of what was said */
};
typedef void (*runner_event_fn)(const struct runner_event *ev, void *ctx);

/* How the program ended. Borrowed. */
struct runner_exit {
    bool ok;                 /* with status 0 */
    const char *stderr_tail; /* the end of standard error; valid UTF-8, "" when empty */
};

/* What the program said in the end, before limits, signals and so on are considered. */
struct runner_result {
    bool ok;           /* a final answer in text, which may be empty */
    bool final;        /* its own result was seen: exit status and signal mean nothing any more */
    bool session_gone; /* !ok, as the session to go on with is not there: it can start anew */
    char *text;        /* the answer, or what was printed instead; NULL none */
    char *error;       /* !ok: what went wrong, in words for the chat; NULL: not known */
    bool has_usage;
    struct usage usage;
    size_t dropped_bytes; /* of the answer, past the reply limit */
};

enum runner_mcp {
    RUNNER_MCP_NONE,     /* it reads none */
    RUNNER_MCP_COMMON,   /* {"mcpServers":{...}} */
    RUNNER_MCP_OPENCODE, /* {"mcp":{...}} */
    RUNNER_MCP_CODEX     /* [mcp_servers.NAME] at RUNNER_CODEX_PATH, with rules in the same file */
};

struct runner {
    const char *name;
    const char *remedy; /* how an operator gets its program, a command to type; NULL: not known */
    /* Where its program looks for rules and skills, beneath its home; NULL: it knows none. What the
     * control plane provides is shown there. */
    const char *rules, *skills;
    enum runner_mcp mcp;        /* how its program reads RUNNER_MCP_PATH, where that is there */
    const char *version_option; /* with which its program prints its version; NULL: not known */
    /* The program that would be started: a path, or a name looked up in the sandbox's PATH.
     * Borrowed from the settings or static; NULL where none is named. */
    const char *(*program)(const struct settings *settings);
    bool earlier; /* its prompt has the thread's earlier messages where a conversation begins */
    /* An agent's own program, which makes its own arguments and works with a model: the APIs of
     * models that it knows, and what their keys come in. Checked for all alike: runner.argv,
     * runner.program, whether runner.model is one word, and provider_check(). NULL: any program. */
    const struct provider_set *providers;
    const char *models; /* with providers: examples of runner.model, as in "opus or sonnet" */
    /* Whether settings suit it besides: -EINVAL with a sentence naming the key. NULL: they do. */
    int (*check)(const struct settings *settings, struct err *err);
    /* Whether there is a key or a login for the model, as far as can be told. NULL: with any. */
    bool (*has_key)(const struct settings *settings);
    /* Where its program keeps a person's login, beneath the home: refreshed by the program itself,
     * it can't be brokered, and tasks don't get it. NULL: not known. */
    const char *login;
    const char *no_key; /* with providers: what is said where there is none */
    int (*prepare)(const struct settings *settings, const struct runner_turn *turn,
                   struct runner_start *ret_start, struct err *err);
    /* session: as in struct runner_turn. Both are borrowed for the call. */
    struct runner_parser *(*parser_new)(const struct settings *settings, const char *session);
    /* One piece of standard output, cut anywhere. */
    void (*feed)(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
                 void *ctx);
    /* After the last piece. */
    void (*finish)(struct runner_parser *p, const struct runner_exit *end,
                   struct runner_result *ret_result);
    void (*parser_free)(struct runner_parser *p);
};

/* NULL for a name nobody knows. */
const struct runner *runner_find(const char *name);
/* Checks at start-up that settings suit the runner: -EINVAL with a sentence naming the key. */
int runner_check(const struct settings *settings, struct err *err);
/* What is probably missing in the settings; static, NULL: nothing. */
const char *runner_advice(const struct settings *settings);
/* Places that the runner can't do without, as entries of settings/allow.h, appended. */
void runner_hosts(const struct settings *settings, struct strv *hosts);
/* All brokers of a task, appended: broker[]'s and the runner's own. */
void runner_brokers(const struct settings *settings, struct broker_list *list);
/* Whether a variable of runner.env or runner.secrets stays out of tasks. */
bool runner_keeps(const struct settings *settings, const char *variable);
/* What keys tasks get though they had better not; NULL: none. */
const char *runner_exposed(const struct settings *settings);
/* For prepare: what is provided and runner.env as NAME=value, without what is kept out. */
void runner_add_env(const struct settings *settings, struct strv *env);
/* For feed: whether a program may be given that id of a conversation again. */
bool runner_is_session(const char *id);
void runner_start_done(struct runner_start *s);
void runner_result_done(struct runner_result *r);
