#include "runner/claude.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/claude_stream.h"
#include "runner/prompt.h"
#include "settings/allow.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

#define PROGRAM "claude"

/* Any of them is a way to log in. Source: Claude Code's documentation, "Environment variables". */
static const char *const logins[] = {
    "ANTHROPIC_API_KEY",       "ANTHROPIC_AUTH_TOKEN",   "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY",
};

#define BROKER "anthropic"

/* Of these, those that never change and stand in one field of each request: a broker can have them.
 * The first that is there is taken. */
static const struct {
    const char *variable, *header, *scheme;
} keys[] = {
    { "ANTHROPIC_API_KEY", "x-api-key", "" },
    { "ANTHROPIC_AUTH_TOKEN", "authorization", "Bearer" },
};

static const char *program(const struct settings *settings)
{
    return str_is_empty(settings->runner_program) ? PROGRAM : settings->runner_program;
}

static const char *find_pair(const struct settings_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->len; i++)
        if (str_eq(pairs->items[i].name, name))
            return pairs->items[i].value;
    return NULL;
}

static bool has_pair(const struct settings_pairs *pairs, const char *name)
{
    return find_pair(pairs, name) != NULL;
}

static bool is_set(const struct settings *settings, const char *variable)
{
    return has_pair(&settings->runner_secrets, variable) ||
           has_pair(&settings->runner_env, variable) ||
           has_pair(&settings->runner_provided, variable);
}

/* ---- its key, kept out of tasks ---- */

/* Clouds' own logins, by which each request is signed. */
static bool uses_cloud(const struct settings *settings)
{
    return is_set(settings, "CLAUDE_CODE_USE_BEDROCK") ||
           is_set(settings, "CLAUDE_CODE_USE_VERTEX") ||
           is_set(settings, "CLAUDE_CODE_USE_FOUNDRY");
}

/* Without a slash at the end, which a base URL may have. */
static char *upstream_of(const char *url)
{
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        len--;
    return mem_strndup(url, len);
}

static bool broker(const struct settings *settings, struct broker *ret_broker)
{
    const char *base = find_pair(&settings->runner_env, "ANTHROPIC_BASE_URL");

    if (!settings->runner_broker || broker_find(&settings->broker, BROKER) || uses_cloud(settings))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!is_set(settings, keys[i].variable))
            continue;
        (void)broker_known(BROKER, ret_broker); /* it is */
        ret_broker->key_file = mem_strdup(find_pair(&settings->runner_secrets, keys[i].variable));
        ret_broker->key_variable = ret_broker->key_file ? NULL : mem_strdup(keys[i].variable);
        free(ret_broker->header);
        ret_broker->header = mem_strdup(keys[i].header);
        free(ret_broker->scheme);
        ret_broker->scheme = mem_strdup(keys[i].scheme);
        if (base) { /* named by the operator: at whatever address */
            free(ret_broker->upstream);
            ret_broker->upstream = upstream_of(base);
            ret_broker->grants = ALLOW_PRIVATE | ALLOW_LOOPBACK;
        }
        return true;
    }
    return false;
}

static bool is_brokered(const struct settings *settings)
{
    CLEANUP(broker_done) struct broker own = { 0 };

    return broker_find(&settings->broker, BROKER) || broker(settings, &own);
}

static bool keeps(const struct settings *settings, const char *variable)
{
    bool is_about_it = str_eq(variable, "ANTHROPIC_BASE_URL");

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        is_about_it |= str_eq(variable, keys[i].variable);
    return is_about_it && is_brokered(settings);
}

static const char *exposed(const struct settings *settings)
{
    if (is_set(settings, "CLAUDE_CODE_OAUTH_TOKEN"))
        return "CLAUDE_CODE_OAUTH_TOKEN is a person's login, which Claude Code itself has to have: "
               "it can't be brokered, so every task can read it; to keep the key out of tasks use "
               "an API key instead (ANTHROPIC_API_KEY in runner.secrets)";
    if (uses_cloud(settings))
        return "logins of Bedrock, Vertex and Foundry sign each request, so they can't be "
               "brokered: every task can read what is given to it; to keep the key out of tasks "
               "use an API key instead (ANTHROPIC_API_KEY in runner.secrets)";
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (is_set(settings, keys[i].variable) && !is_brokered(settings))
            return "runner.broker is off: every task can read the model's key; set it to on";
    return NULL;
}

static int check_broker(const struct settings *settings, struct err *err)
{
    CLEANUP(broker_done) struct broker own = { 0 };
    char place[SETTINGS_PLACE_MAX];
    struct err why;

    if (!broker(settings, &own))
        return 0;
    if (has_pair(&settings->runner_secrets, "ANTHROPIC_BASE_URL"))
        return err_set(err, -EINVAL,
                       "%srunner.secrets: ANTHROPIC_BASE_URL belongs in runner.env: the broker has "
                       "to know it",
                       settings_place(settings, "runner.secrets", place));
    if (broker_check(&own, &why) < 0)
        return err_set(err, -EINVAL,
                       "%srunner.env: ANTHROPIC_BASE_URL can't be brokered: %s; runner.broker: off "
                       "hands the key to every task instead",
                       settings_place(settings, "runner.env", place), why.text);
    return 0;
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
    if (str_eq(settings->sandbox_network_mode, "none") && !is_brokered(settings))
        return err_set(
            err, -EINVAL,
            "%ssandbox.network.mode none leaves Claude Code no way to its model unless "
            "its key is brokered (an API key in runner.secrets, and runner.broker on); "
            "set it to allowlist (its model's host and what sandbox.network.allow names)",
            settings_place(settings, "sandbox.network.mode", place));
    return check_broker(settings, err);
}

static const char *advice(const struct settings *settings)
{
    if (is_brokered(settings))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(logins); i++)
        if (is_set(settings, logins[i]))
            return NULL;
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

    if ((!task->prompt || task->prompt[strspn(task->prompt, " \t\r\n")] == '\0') &&
        (!turn->attached || turn->attached->len == 0))
        return err_set(err, -EINVAL, "the message is empty, which Claude Code doesn't take");
    start.brief = prompt_brief(task, turn->outbox, settings->attachments_max_bytes);
    add_arguments(&start.argv, settings, turn, is_asked);
    strv_add(&start.env, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1");
    strv_add(&start.env, "DISABLE_AUTOUPDATER=1");
    if (turn->has_mcp) { /* or it begins while they aren't there yet, and never tells the model */
        strv_add(&start.env, "MCP_CONNECTION_NONBLOCKING=0");
        strv_add(&start.env, "MCP_CONNECT_TIMEOUT_MS=30000");
    }
    runner_add_env(settings, &start.env); /* the last setting of a name counts */
    if (is_brokered(settings)) {
        strv_add(&start.env, "ANTHROPIC_BASE_URL=" BROKER_URL "/" BROKER);
        strv_add(&start.env, "ANTHROPIC_API_KEY=the-broker-has-it");
    }
    start.input = prompt_text(task, turn->attached, !turn->session);
    start.input_len = strlen(start.input);
    *ret_start = start;
    return 0;
}

/* Source: Claude Code's documentation, "Network access requirements" and ANTHROPIC_BASE_URL. */
static void hosts(const struct settings *settings, struct strv *list)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    if (is_brokered(settings))
        return;
    for (size_t i = 0; i < settings->runner_env.len; i++)
        if (str_eq(settings->runner_env.items[i].name, "ANTHROPIC_BASE_URL"))
            (void)allow_print_url(settings->runner_env.items[i].value, &b); /* else as without */
    strv_add(list, b.len > 0 ? buf_str(&b) : "api.anthropic.com:443");
}

const struct runner runner_claude = {
    .name = "claude",
    .remedy = "npm install -g @anthropic-ai/claude-code",
    .rules = ".claude/rules",
    .skills = ".claude/skills",
    .takes_mcp = true,
    .version_option = "--version",
    .earlier = true,
    .program = program,
    .check = check,
    .advice = advice,
    .hosts = hosts,
    .broker = broker,
    .keeps = keeps,
    .exposed = exposed,
    .prepare = prepare,
    .parser_new = claude_stream_new,
    .feed = claude_stream_feed,
    .finish = claude_stream_finish,
    .parser_free = claude_stream_free,
};
