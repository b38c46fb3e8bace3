#include "runner/codex.h"

#include <stdlib.h>
#include <string.h>

#include "runner/codex_stream.h"
#include "runner/codex_thread.h"
#include "runner/prompt.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/strv.h"
#include "util/toml.h"

#define PROGRAM "codex"
/* How we name the API among its providers. */
#define NAME    "nairid"
#define KEY     "OPENAI_API_KEY"
#define HOME    "CODEX_HOME"

/* A ChatGPT login is a file in Codex's own directory, which it writes anew whenever its token ends;
 * one that the operator shows to tasks. */
static const struct provider_login logins[] = {
    { .variable = HOME,
      .is_fallback = true,
      .hosts = { "chatgpt.com:443", "auth.openai.com:443" },
      .warning = "a ChatGPT login (auth.json in CODEX_HOME) is a token that Codex itself "
                 "refreshes: it can't be brokered, so every task can read it; to keep the key out "
                 "of tasks use an API key instead (OPENAI_API_KEY in runner.secrets)" },
};
static const struct provider openai = {
    .broker = "openai",
    .variable = "OPENAI_BASE_URL",
    .path = "/v1",
    .url = "https://api.openai.com/v1",
    .keys = { { KEY, "authorization", "Bearer" }, { "CODEX_API_KEY", "authorization", "Bearer" } },
};
static const struct provider_set providers = {
    .product = "Codex",
    .providers = &openai,
    .provider_count = 1,
    .logins = logins,
    .login_count = ARRAY_SIZE(logins),
};

static const char *program(const struct settings *settings)
{
    return str_is_empty(settings->runner_program) ? PROGRAM : settings->runner_program;
}

/* ---- how to start it ---- */

static void add_string(struct strv *argv, const char *key, const char *value)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    buf_printf(&b, "%s=", key);
    toml_add_string(&b, value);
    strv_add(argv, "-c");
    strv_add(argv, buf_str(&b));
}

/* Another place than what is configured would be asked otherwise, and hosts that no task needs. */
static void add_config(struct strv *argv)
{
    static const char *const words[] = {
        "check_for_update_on_startup=false",
        "analytics.enabled=false",
        "features.plugins=false",
        "features.apps=false",
        "features.remote_plugin=false",
        /* its tools see what the operator gives to tasks, whatever the names */
        "shell_environment_policy.inherit=\"all\"",
        "shell_environment_policy.ignore_default_excludes=true",
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        strv_add(argv, "-c");
        strv_add(argv, words[i]);
    }
}

static const char *key_variable(const struct settings *settings)
{
    for (size_t i = 0; i < ARRAY_SIZE(openai.keys) && openai.keys[i].variable; i++)
        if (provider_is_set(settings, openai.keys[i].variable) &&
            !provider_is_brokered(&providers, &openai, settings))
            return openai.keys[i].variable;
    return KEY;
}

static void add_provider(struct strv *argv, const struct settings *settings)
{
    AUTO_FREE char *url = provider_address(&providers, &openai, settings);

    if (provider_is_set(settings, HOME) && !provider_has_key(&providers, &openai, settings))
        return; /* its own login, and the API of that */
    add_string(argv, "model_provider", NAME);
    add_string(argv, "model_providers." NAME ".name", "the model's API");
    add_string(argv, "model_providers." NAME ".base_url", url);
    add_string(argv, "model_providers." NAME ".env_key", key_variable(settings));
    add_string(argv, "model_providers." NAME ".wire_api", "responses");
}

/* All options before `resume`, which doesn't take each of them. */
static void add_arguments(struct strv *argv, const struct settings *settings, const char *thread)
{
    strv_add(argv, program(settings));
    strv_add(argv, "exec");
    strv_add(argv, "--json");
    strv_add(argv, "--skip-git-repo-check");
    strv_add(argv, "--dangerously-bypass-approvals-and-sandbox"); /* ours is the wall */
    add_config(argv);
    add_provider(argv, settings);
    if (settings->runner_model)
        add_string(argv, "model", settings->runner_model);
    if (thread) {
        strv_add(argv, "resume");
        strv_add(argv, thread);
    }
    strv_add(argv, "-"); /* the prompt is read from standard input */
}

static int prepare(const struct settings *settings, const struct runner_turn *turn,
                   struct runner_start *ret_start, struct err *err)
{
    const struct task *task = turn->task;
    struct runner_start start = { .workspace_read_only = task->mode == TASK_MODE_ASK };
    AUTO_FREE char *brief = NULL;
    struct codex_thread thread;
    bool goes_on = codex_thread_parse(turn->session, &thread);
    int rc = prompt_check(task, turn->attached, providers.product, err);

    if (rc < 0)
        return rc;
    add_arguments(&start.argv, settings, goes_on ? thread.id : NULL);
    runner_add_env(settings, &start.env);
    if (provider_is_brokered(&providers, &openai, settings))
        strv_add(&start.env, KEY "=" PROVIDER_PLACEHOLDER);
    brief = prompt_brief(task, turn->outbox, settings->attachments_max_bytes);
    start.input = prompt_with_brief(task, turn->attached, !goes_on, brief);
    start.input_len = strlen(start.input);
    *ret_start = start;
    return 0;
}

const struct runner runner_codex = {
    .name = "codex",
    .remedy = "npm install -g @openai/codex",
    .skills = ".agents/skills",
    .mcp = RUNNER_MCP_CODEX,
    .version_option = "--version",
    .earlier = true,
    .program = program,
    .providers = &providers,
    .models = "gpt-5.5",
    .login = ".codex/auth.json",
    .no_key = "Codex has no key: put one into a file of mode 0600 and name it in runner.secrets, "
              "as in {OPENAI_API_KEY: {file: /etc/nairid/openai.key}}; a ChatGPT login "
              "(~/.codex/auth.json) does not do: its token is refreshed, so it can't be brokered",
    .prepare = prepare,
    .parser_new = codex_stream_new,
    .feed = codex_stream_feed,
    .finish = codex_stream_finish,
    .parser_free = codex_stream_free,
};
