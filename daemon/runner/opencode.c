#include "runner/opencode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/opencode_stream.h"
#include "runner/prompt.h"
#include "runner/provider.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

#define PROGRAM "opencode"
#define RULES   ".config/opencode/rules"

/* Bundled with it; it would have to fetch others. */
#define COMPATIBLE "@ai-sdk/openai-compatible"

#define BEARER "authorization", "Bearer"

/* What stands before the slash of runner.model is the broker's name: OpenCode's own name of the
 * provider. Source: the catalogue of OpenCode 1.18.33 (env, api). */
static const struct provider providers[] = {
    { .broker = "anthropic",
      .variable = "ANTHROPIC_BASE_URL",
      .path = "/v1",
      .url = "https://api.anthropic.com/v1",
      .keys = { { "ANTHROPIC_API_KEY", "x-api-key", "" } } },
    { .broker = "openai",
      .variable = "OPENAI_BASE_URL",
      .path = "/v1",
      .url = "https://api.openai.com/v1",
      .keys = { { "OPENAI_API_KEY", BEARER } } },
    { .broker = "openrouter",
      .path = "/v1",
      .url = "https://openrouter.ai/api/v1",
      .keys = { { "OPENROUTER_API_KEY", BEARER } } },
    { .broker = "deepseek",
      .path = "",
      .url = "https://api.deepseek.com",
      .keys = { { "DEEPSEEK_API_KEY", BEARER } } },
    { .broker = "groq",
      .path = "/v1",
      .url = "https://api.groq.com/openai/v1",
      .keys = { { "GROQ_API_KEY", BEARER } } },
    { .broker = "mistral",
      .path = "/v1",
      .url = "https://api.mistral.ai/v1",
      .keys = { { "MISTRAL_API_KEY", BEARER } } },
    { .broker = "xai",
      .path = "/v1",
      .url = "https://api.x.ai/v1",
      .keys = { { "XAI_API_KEY", BEARER } } },
};
static const struct provider_login logins[] = {
    { .variable = "OPENCODE_AUTH_CONTENT",
      .is_instead = true,
      .warning = "OPENCODE_AUTH_CONTENT has the logins of OpenCode (its auth.json), which it "
                 "refreshes by itself: they can't be brokered, so every task can read them; to "
                 "keep the key out of tasks use an API key instead (such as ANTHROPIC_API_KEY or "
                 "OPENAI_API_KEY in runner.secrets)" },
    { .variable = "OPENCODE_API_KEY",
      .warning = "OPENCODE_API_KEY is for OpenCode's own service, which has several APIs: it can't "
                 "be brokered, so every task can read it; to keep the key out of tasks use an API "
                 "key of a model's provider instead (such as ANTHROPIC_API_KEY or OPENAI_API_KEY "
                 "in runner.secrets)" },
};
static const struct provider *meant(const struct settings *settings);
static const struct provider_set set = {
    .product = "OpenCode",
    .providers = providers,
    .provider_count = ARRAY_SIZE(providers),
    .logins = logins,
    .login_count = ARRAY_SIZE(logins),
    .takes_others = true,
    .meant = meant,
};

static const char *program(const struct settings *settings)
{
    return str_is_empty(settings->runner_program) ? PROGRAM : settings->runner_program;
}

/* ---- the model and whose it is ---- */

/* "" where no model is named, which check() doesn't let pass. */
static char *provider_name(const struct settings *settings)
{
    const char *model = settings->runner_model ? settings->runner_model : "";

    return mem_strndup(model, strcspn(model, "/"));
}

static const char *model_name(const struct settings *settings)
{
    return strchr(settings->runner_model, '/') + 1;
}

/* NULL: another one, which only an entry of broker[] or the program itself knows. */
static const struct provider *find_provider(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
        if (str_eq(providers[i].broker, name))
            return &providers[i];
    return NULL;
}

static const struct provider *meant(const struct settings *settings)
{
    AUTO_FREE char *name = provider_name(settings);

    return find_provider(name);
}

static int check(const struct settings *settings, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    const char *model = settings->runner_model;
    size_t len = model ? strspn(model, letters) : 0;
    char place[SETTINGS_PLACE_MAX];

    if (model && len > 0 && model[len] == '/' && model[len + 1] != '\0')
        return 0;
    return err_set(err, -EINVAL,
                   "%srunner.model is '%s': OpenCode needs PROVIDER/MODEL, such as %s",
                   settings_place(settings, "runner.model", place), model ? model : "",
                   runner_opencode.models);
}

/* ---- what it is told ---- */

static struct json *rule_of(const char *pattern, const char *action)
{
    struct json *rule = json_object();

    json_add_str(rule, pattern, action);
    return rule;
}

/* Nothing is left to be asked for: a question ends the run, as nobody answers it. Of patterns that
 * fit the last one counts. */
static struct json *permissions(const struct settings *settings, const struct runner_turn *turn)
{
    static const char *const more_than_edits[] = { "bash", "webfetch", "websearch", "doom_loop" };
    struct json *all = rule_of("*", "allow");

    json_add_str(all, "question", "deny");
    json_add(all, "external_directory", rule_of("*", "allow")); /* the sandbox has the walls */
    if (turn->task->mode == TASK_MODE_ASK) {
        struct json *edit = rule_of("*", "deny");

        if (turn->outbox) { /* paths are seen from the workspace's repository, or else from / */
            AUTO_FREE char *files = mem_printf("*%s/*", turn->outbox + 1);

            json_add_str(edit, files, "allow");
        }
        json_add(all, "edit", edit);
    }
    for (size_t i = 0;
         settings->runner_permissions == SETTINGS_EDITS && i < ARRAY_SIZE(more_than_edits); i++)
        json_add_str(all, more_than_edits[i], "deny");
    return all;
}

/* What stands before the part of the path that is the API's own: "/v1" where the entry doesn't
 * say. */
static char *base_path(const struct broker *b)
{
    static const char *const own[] = { "/chat/completions", "/responses" };

    for (size_t i = 0; i < b->paths.len; i++)
        for (size_t k = 0; k < ARRAY_SIZE(own); k++)
            if (str_ends_with(b->paths.items[i], own[k]))
                return mem_strndup(b->paths.items[i], strlen(b->paths.items[i]) - strlen(own[k]));
    return mem_strdup("/v1");
}

/* Where the provider is, and its package; NULL: the program knows best. */
static char *find_address(const struct settings *settings, const char *name)
{
    const struct broker *entry = broker_find(&settings->broker, name);
    const struct provider *p = find_provider(name);
    AUTO_FREE char *path = NULL;

    if (p && (provider_is_brokered(&set, p, settings) || provider_variable(settings, p->variable)))
        return provider_address(&set, p, settings);
    if (p || !entry)
        return NULL;
    path = base_path(entry);
    return mem_printf(BROKER_URL "/%s%s", name, path);
}

static bool is_brokered(const struct settings *settings, const char *name)
{
    const struct provider *p = find_provider(name);

    return p ? provider_is_brokered(&set, p, settings)
             : broker_find(&settings->broker, name) != NULL;
}

static struct json *provider_config(const struct settings *settings, const char *name)
{
    AUTO_FREE char *address = find_address(settings, name);
    struct json *config = json_object(), *options = json_object();

    if (address)
        json_add_str(options, "baseURL", address);
    if (is_brokered(settings, name))
        json_add_str(options, "apiKey", PROVIDER_PLACEHOLDER);
    if (address && !str_eq(name, "anthropic") && !str_eq(name, "openai"))
        json_add_str(config, "npm", COMPATIBLE);
    json_add(config, "options", options);
    return config;
}

/* All that there are keys for, as its agents may have models of their own. */
static struct json *provider_configs(const struct settings *settings)
{
    AUTO_FREE char *name = provider_name(settings);
    struct json *configs = json_object(), *own = provider_config(settings, name);
    struct json *models = json_object();

    json_add(models, model_name(settings),
             json_object()); /* one newer than its catalogue will do */
    json_add(own, "models", models);
    json_add(configs, name, own);
    for (size_t i = 0; i < ARRAY_SIZE(providers); i++) {
        const char *other = providers[i].broker;

        if (!str_eq(other, name) && provider_has_key(&set, &providers[i], settings))
            json_add(configs, other, provider_config(settings, other));
    }
    return configs;
}

static char *config_of(const struct settings *settings, const struct runner_turn *turn)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();
    struct json *instructions = json_array(), *agent = json_object(), *title = json_object();
    struct json *build = json_object();

    json_add_bool(root, "autoupdate", false);
    json_add_bool(root, "snapshot", false); /* of the workspace, at each step, for its own undo */
    json_add_str(root, "share", "disabled");
    json_add_str(root, "model", settings->runner_model);
    json_add_str(root, "small_model", settings->runner_model);
    json_push_str(instructions, "{env:NAIRID_BRIEF}");
    json_push_str(instructions, "~/" RULES "/*.md");
    json_add(root, "instructions", instructions);
    json_add_bool(title, "disable", true); /* a request to the model that nobody reads */
    json_add(agent, "title", title);
    json_add(build, "permission", permissions(settings, turn)); /* a file's would come before all */
    json_add(agent, "build", build);
    json_add(root, "agent", agent);
    json_add(root, "permission", permissions(settings, turn));
    json_add(root, "provider", provider_configs(settings));
    return json_print(root);
}

/* ---- how to start it ---- */

static void add_pair(struct strv *words, const char *name, const char *value)
{
    AUTO_FREE char *word = mem_printf("%s=%s", name, value);

    strv_add(words, word);
}

/* Values are joined with =, so that none is read as an option. */
static void add_arguments(struct strv *argv, const struct settings *settings,
                          const struct runner_turn *turn)
{
    strv_add(argv, program(settings));
    strv_add(argv, "run"); /* no message follows: the prompt is read from standard input */
    add_pair(argv, "--format", "json");
    add_pair(argv, "--agent", "build");
    if (turn->session)
        add_pair(argv, "--session", turn->session);
    add_pair(argv, "--model", settings->runner_model);
}

static void add_environment(struct strv *env, const struct settings *settings,
                            const struct runner_turn *turn)
{
    AUTO_FREE char *config = config_of(settings, turn);

    strv_add(env, "OPENCODE_DISABLE_MODELS_FETCH=1"); /* each asks some host at every start */
    strv_add(env, "OPENCODE_DISABLE_AUTOUPDATE=1");
    strv_add(env, "OPENCODE_DISABLE_LSP_DOWNLOAD=1");
    strv_add(env, "OPENCODE_DISABLE_DEFAULT_PLUGINS=1");
    runner_add_env(settings, env); /* the last setting of a name counts */
    if (turn->has_mcp)
        add_pair(env, "OPENCODE_CONFIG", RUNNER_MCP_PATH);
    if (!provider_is_set(settings, "OPENCODE_AUTH_CONTENT"))
        strv_add(env, "OPENCODE_AUTH_CONTENT={}"); /* no login that lies in the job's home */
    add_pair(env, "NAIRID_BRIEF", RUNNER_BRIEF_PATH);
    add_pair(env, "OPENCODE_CONFIG_CONTENT", config);
}

static int prepare(const struct settings *settings, const struct runner_turn *turn,
                   struct runner_start *ret_start, struct err *err)
{
    const struct task *task = turn->task;
    struct runner_start start = { .workspace_read_only = task->mode == TASK_MODE_ASK,
                                  .stdout_file = true };
    int rc = prompt_check(task, turn->attached, set.product, err);

    if (rc < 0)
        return rc;
    start.brief = prompt_brief(task, turn->outbox, settings->attachments_max_bytes);
    add_arguments(&start.argv, settings, turn);
    add_environment(&start.env, settings, turn);
    start.input = prompt_text(task, turn->attached, !turn->session);
    start.input_len = strlen(start.input);
    *ret_start = start;
    return 0;
}

/* Whether the model that is named has a key, a broker or a login, as far as can be told. */
static bool has_key(const struct settings *settings)
{
    AUTO_FREE char *name = provider_name(settings);
    const struct provider *p = find_provider(name);

    for (size_t i = 0; i < ARRAY_SIZE(logins); i++)
        if (provider_is_set(settings, logins[i].variable))
            return true;
    return p ? provider_has_key(&set, p, settings) : broker_find(&settings->broker, name) != NULL;
}

const struct runner runner_opencode = {
    .name = "opencode",
    .remedy = "npm install -g opencode-ai",
    .rules = RULES,
    .skills = ".config/opencode/skill",
    .mcp = RUNNER_MCP_OPENCODE,
    .version_option = "--version",
    .earlier = true,
    .program = program,
    .providers = &set,
    .models = "anthropic/claude-sonnet-4-5 or openai/gpt-5",
    .check = check,
    .has_key = has_key,
    .login = ".local/share/opencode/auth.json",
    .no_key =
        "OpenCode has no key for the provider that runner.model names: put one into a file of "
        "mode 0600 and name it in runner.secrets, as in {ANTHROPIC_API_KEY: {file: "
        "/etc/nairid/anthropic.key}}, or, for a provider that isn't anthropic, openai, "
        "openrouter, deepseek, groq, mistral or xai, in an entry of broker that has the "
        "provider's name. A login of 'opencode auth' (~/.local/share/opencode/auth.json) "
        "does not do: its token is refreshed, so it can't be brokered",
    .prepare = prepare,
    .parser_new = opencode_stream_new,
    .feed = opencode_stream_feed,
    .finish = opencode_stream_finish,
    .parser_free = opencode_stream_free,
};
