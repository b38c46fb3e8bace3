#include "runner/claude.h"

#include <stdlib.h>
#include <string.h>

#include "runner/claude_stream.h"
#include "runner/prompt.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

#define PROGRAM "claude"

#define CLOUD(name)                                                                                \
    {                                                                                              \
        .variable = (name), .is_instead = true,                                                    \
        .warning =                                                                                 \
            "logins of Bedrock, Vertex and Foundry sign each request, so they can't be brokered: " \
            "every task can read what is given to it; to keep the key out of tasks use an API "    \
            "key instead (ANTHROPIC_API_KEY in runner.secrets)"                                    \
    }

/* Source: Claude Code's documentation, "Environment variables" and "Network access requirements".
 */
static const struct provider_login logins[] = {
    { .variable = "CLAUDE_CODE_OAUTH_TOKEN",
      .warning = "CLAUDE_CODE_OAUTH_TOKEN is a person's login, which Claude Code itself has to "
                 "have: it can't be brokered, so every task can read it; to keep the key out of "
                 "tasks use an API key instead (ANTHROPIC_API_KEY in runner.secrets)" },
    CLOUD("CLAUDE_CODE_USE_BEDROCK"),
    CLOUD("CLAUDE_CODE_USE_VERTEX"),
    CLOUD("CLAUDE_CODE_USE_FOUNDRY"),
};
static const struct provider anthropic = {
    .broker = "anthropic",
    .variable = "ANTHROPIC_BASE_URL",
    .path = "",
    .url = "https://api.anthropic.com",
    .keys = { { "ANTHROPIC_API_KEY", "x-api-key", "" },
              { "ANTHROPIC_AUTH_TOKEN", "authorization", "Bearer" } },
};
static const struct provider_set providers = {
    .product = "Claude Code",
    .providers = &anthropic,
    .provider_count = 1,
    .logins = logins,
    .login_count = ARRAY_SIZE(logins),
};

static const char *program(const struct settings *settings)
{
    return str_is_empty(settings->runner_program) ? PROGRAM : settings->runner_program;
}

/* ---- how to start it ---- */

/* Joined with =, so that no value is read as an option. */
static void add_option(struct strv *argv, const char *name, const char *value)
{
    AUTO_FREE char *word = mem_printf("%s=%s", name, value);

    strv_add(argv, word);
}

static void add_arguments(struct strv *argv, const struct settings *settings,
                          const struct runner_turn *turn, bool is_asked)
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
    add_option(argv, "--append-system-prompt-file", RUNNER_BRIEF_PATH);
    if (turn->has_mcp)
        add_option(argv, "--mcp-config", RUNNER_MCP_PATH);
    if (turn->outbox) /* so that it is edited as the workspace is, without a question */
        add_option(argv, "--add-dir", turn->outbox);
    if (is_asked) /* whose files are files of the outbox, too: what may be edited the mount says */
        add_option(argv, "--disallowedTools",
                   turn->outbox ? "Edit(//workspace/**),NotebookEdit" : "Edit,Write,NotebookEdit");
    strv_add(argv, "-p"); /* no value follows: the prompt is read from standard input */
}

static int prepare(const struct settings *settings, const struct runner_turn *turn,
                   struct runner_start *ret_start, struct err *err)
{
    const struct task *task = turn->task;
    bool is_asked = task->mode == TASK_MODE_ASK;
    struct runner_start start = { .workspace_read_only = is_asked, .stdout_file = true };
    int rc = prompt_check(task, turn->attached, providers.product, err);

    if (rc < 0)
        return rc;
    start.brief = prompt_brief(task, turn->outbox, settings->attachments_max_bytes);
    add_arguments(&start.argv, settings, turn, is_asked);
    strv_add(&start.env, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1");
    strv_add(&start.env, "DISABLE_AUTOUPDATER=1");
    if (turn->has_mcp) { /* or it begins while they aren't there yet, and never tells the model */
        strv_add(&start.env, "MCP_CONNECTION_NONBLOCKING=0");
        strv_add(&start.env, "MCP_CONNECT_TIMEOUT_MS=30000");
    }
    runner_add_env(settings, &start.env); /* the last setting of a name counts */
    if (provider_is_brokered(&providers, &anthropic, settings)) {
        AUTO_FREE char *url = provider_address(&providers, &anthropic, settings);
        AUTO_FREE char *pair = mem_printf("ANTHROPIC_BASE_URL=%s", url);

        strv_add(&start.env, pair);
        strv_add(&start.env, "ANTHROPIC_API_KEY=" PROVIDER_PLACEHOLDER);
    }
    start.input = prompt_text(task, turn->attached, !turn->session);
    start.input_len = strlen(start.input);
    *ret_start = start;
    return 0;
}

const struct runner runner_claude = {
    .name = "claude",
    .remedy = "npm install -g @anthropic-ai/claude-code",
    .rules = ".claude/rules",
    .skills = ".claude/skills",
    .mcp = RUNNER_MCP_COMMON,
    .version_option = "--version",
    .earlier = true,
    .program = program,
    .providers = &providers,
    .models = "opus, sonnet or claude-sonnet-4-5",
    .no_key = "Claude Code has no key: put one into a file of mode 0600 and name it in "
              "runner.secrets, as in {ANTHROPIC_API_KEY: {file: /etc/nairid/anthropic.key}}; "
              "CLAUDE_CODE_OAUTH_TOKEN (from 'claude setup-token') does as well",
    .prepare = prepare,
    .parser_new = claude_stream_new,
    .feed = claude_stream_feed,
    .finish = claude_stream_finish,
    .parser_free = claude_stream_free,
};
