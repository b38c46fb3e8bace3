#include "runner/claude.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/claude_stream.h"
#include "settings/allow.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

#define PROGRAM "claude"

/* The model is told what it can't do, so that it doesn't try; that it can't is the mount's work. */
#define ASK_BRIEF                                                                                  \
    "This is ask mode: answer the question. /workspace is mounted read-only: no file in it can "   \
    "be made, changed or deleted, by any tool. Scratch files can go to /tmp."

/* Any of them is a way to log in. Source: Claude Code's documentation, "Environment variables". */
static const char *const logins[] = {
    "ANTHROPIC_API_KEY",       "ANTHROPIC_AUTH_TOKEN",   "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY",
};

static const char *program(const struct settings *settings)
{
    return str_is_empty(settings->runner_program) ? PROGRAM : settings->runner_program;
}

/* ---- do the settings suit it? ---- */

static bool is_model_name(const char *s)
{
    if (s[0] == '-')
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

static int check(const struct settings *settings, struct err *err)
{
    const char *model = settings->runner_model, *named = program(settings);
    char place[SETTINGS_PLACE_MAX];

    if (settings->runner_argv.len > 0)
        return err_set(err, -EINVAL,
                       "%srunner.argv has no meaning for the runner claude, which makes its own "
                       "arguments; remove it, and name another program in runner.program",
                       settings_place(settings, "runner.argv", place));
    if (model && !is_model_name(model))
        return err_set(err, -EINVAL,
                       "%srunner.model '%s' can't be the name of a model: want one word, such as "
                       "opus, sonnet or claude-sonnet-4-5",
                       settings_place(settings, "runner.model", place), model);
    if (strchr(named, '/') && named[0] != '/')
        return err_set(err, -EINVAL,
                       "%srunner.program '%s' is neither a name nor an absolute path: it would be "
                       "looked for in each job's workspace",
                       settings_place(settings, "runner.program", place), named);
    if (str_eq(settings->sandbox_network_mode, "none"))
        return err_set(err, -EINVAL,
                       "%ssandbox.network.mode none leaves Claude Code no way to its model; set it "
                       "to allowlist (its model's host and what sandbox.network.allow names)",
                       settings_place(settings, "sandbox.network.mode", place));
    return 0;
}

static bool has_pair(const struct settings_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->len; i++)
        if (str_eq(pairs->items[i].name, name))
            return true;
    return false;
}

static const char *advice(const struct settings *settings)
{
    for (size_t i = 0; i < ARRAY_SIZE(logins); i++) {
        if (has_pair(&settings->runner_secrets, logins[i]) ||
            has_pair(&settings->runner_env, logins[i]))
            return NULL;
    }
    return "Claude Code has no key: put one into a file of mode 0600 and name it in "
           "runner.secrets, as in {ANTHROPIC_API_KEY: {file: /etc/nairid/anthropic.key}}; "
           "CLAUDE_CODE_OAUTH_TOKEN (from 'claude setup-token') does as well";
}

/* ---- how to start it ---- */

/* Joined with =, so that no value is read as an option. */
static void add_option(struct strv *argv, const char *name, const char *value)
{
    AUTO_FREE char *word = mem_printf("%s=%s", name, value);

    strv_add(argv, word);
}

static void add_arguments(struct strv *argv, const struct settings *settings,
                          const struct runner_turn *turn, bool is_asked, bool has_brief)
{
    strv_add(argv, program(settings));
    strv_add(argv, "--verbose"); /* stream-json demands it */
    add_option(argv, "--output-format", "stream-json");
    if (settings->runner_permissions == SETTINGS_BYPASS)
        strv_add(argv, "--dangerously-skip-permissions");
    else
        add_option(argv, "--permission-mode", "acceptEdits");
    if (turn->session)
        add_option(argv, "--resume", turn->session);
    if (settings->runner_model)
        add_option(argv, "--model", settings->runner_model);
    if (has_brief)
        add_option(argv, "--append-system-prompt-file", RUNNER_BRIEF_PATH);
    if (is_asked)
        add_option(argv, "--disallowedTools", "Edit,Write,NotebookEdit");
    strv_add(argv, "-p"); /* no value follows: the prompt is read from standard input */
}

static char *make_brief(const struct task *task, bool is_asked)
{
    bool is_told = !str_is_empty(task->system_prompt);

    if (!is_told && !is_asked)
        return NULL;
    return mem_printf("%s%s%s", is_told ? task->system_prompt : "",
                      is_told && is_asked ? "\n\n" : "", is_asked ? ASK_BRIEF : "");
}

static int prepare(const struct settings *settings, const struct runner_turn *turn,
                   struct runner_start *ret_start, struct err *err)
{
    const struct task *task = turn->task;
    bool is_asked = task->mode == TASK_MODE_ASK;
    struct runner_start start = { .workspace_read_only = is_asked, .stdout_file = true };

    if (!task->prompt || task->prompt[strspn(task->prompt, " \t\r\n")] == '\0')
        return err_set(err, -EINVAL, "the message is empty, which Claude Code doesn't take");
    start.brief = make_brief(task, is_asked);
    add_arguments(&start.argv, settings, turn, is_asked, start.brief != NULL);
    strv_add(&start.env, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1");
    strv_add(&start.env, "DISABLE_AUTOUPDATER=1");
    runner_add_env(settings, &start.env); /* the last setting of a name counts */
    start.input = mem_strdup(task->prompt);
    start.input_len = strlen(start.input);
    *ret_start = start;
    return 0;
}

/* Source: Claude Code's documentation, "Network access requirements" and ANTHROPIC_BASE_URL. */
static void hosts(const struct settings *settings, struct strv *list)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    for (size_t i = 0; i < settings->runner_env.len; i++)
        if (str_eq(settings->runner_env.items[i].name, "ANTHROPIC_BASE_URL"))
            (void)allow_print_url(settings->runner_env.items[i].value, &b); /* else as without */
    strv_add(list, b.len > 0 ? buf_str(&b) : "api.anthropic.com:443");
}

const struct runner runner_claude = {
    .name = "claude",
    .remedy = "npm install -g @anthropic-ai/claude-code",
    .version_option = "--version",
    .program = program,
    .check = check,
    .advice = advice,
    .hosts = hosts,
    .prepare = prepare,
    .parser_new = claude_stream_new,
    .feed = claude_stream_feed,
    .finish = claude_stream_finish,
    .parser_free = claude_stream_free,
};
