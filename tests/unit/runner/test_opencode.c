/* How OpenCode is started, and which settings suit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/opencode.h"
#include "runner/provider.h"
#include "support/launch.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/str.h"
#include "util/strv.h"

#define TEXT(s) ((char[]){ s })

static struct settings usual(void)
{
    static char name[] = "opencode", allowlist[] = "allowlist", model[] = "anthropic/claude-x";

    return (struct settings){ .runner_name = name,
                              .sandbox_network_mode = allowlist,
                              .runner_model = model,
                              .runner_broker = true };
}

static struct runner_start start_with(const struct settings *s, const struct runner_turn *turn)
{
    return launch_with(&runner_opencode, s, turn);
}

/* What it is told, to be freed. */
static struct json *config_of(const struct settings *s, const struct runner_turn *turn)
{
    struct runner_start start = start_with(s, turn);
    const char *text = launch_env(&start, "OPENCODE_CONFIG_CONTENT");
    struct json *root = NULL;

    assert_non_null(text);
    assert_int_equal(json_parse(text, strlen(text), &root, NULL), 0);
    runner_start_done(&start);
    return root;
}

static void assert_at(const struct json *node, const char *path, const char *want)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    char *rest = NULL;

    buf_append_str(&b, path);
    for (char *key = strtok_r(b.data, " ", &rest); key; key = strtok_r(NULL, " ", &rest))
        node = json_get(node, key);
    if (want)
        assert_string_equal(json_str(node), want);
    else
        assert_null(node);
}

static void the_prompt_goes_to_standard_input(void **state)
{
    const struct settings s = usual();
    struct task t = { .prompt = TEXT("--help me\n-p") };
    struct runner_start start = start_with(&s, &(struct runner_turn){ .task = &t });

    (void)state;
    launch_assert_argv(&start,
                       "opencode run --format=json --agent=build --model=anthropic/claude-x");
    launch_assert_prompt(&start, "--help me\n-p");
    assert_string_equal(launch_env(&start, "NAIRID_BRIEF"), RUNNER_BRIEF_PATH);
    assert_string_equal(launch_env(&start, "OPENCODE_DISABLE_MODELS_FETCH"), "1");
    assert_string_equal(launch_env(&start, "OPENCODE_AUTH_CONTENT"), "{}");
    assert_null(launch_env(&start, "OPENCODE_CONFIG"));
    runner_start_done(&start);
}

static void settings_and_session_become_options_that_no_value_can_leave(void **state)
{
    struct settings s = usual();
    struct task t = { .prompt = TEXT("go"), .system_prompt = TEXT("--be brief") };
    const struct runner_turn turn = { .task = &t, .session = "-x", .has_mcp = true };
    struct runner_start start;

    (void)state;
    s.runner_program = TEXT("/opt/opencode");
    start = start_with(&s, &turn);
    launch_assert_argv(&start, "/opt/opencode run --format=json --agent=build --session=-x "
                               "--model=anthropic/claude-x");
    assert_int_equal(strncmp(start.brief, "--be brief\n\n", 12), 0);
    assert_string_equal(launch_env(&start, "OPENCODE_CONFIG"), RUNNER_MCP_PATH);
    runner_start_done(&start);
}

static void nothing_is_left_to_be_asked_for(void **state)
{
    struct settings s = usual();
    struct task t = { .prompt = TEXT("go") };
    const struct runner_turn turn = { .task = &t, .outbox = "/home/agent/outbox" };
    struct json *config;

    (void)state;
    config = config_of(&s, &turn);
    assert_at(config, "permission *", "allow");
    assert_at(config, "permission external_directory *", "allow");
    assert_at(config, "permission question", "deny");
    assert_at(config, "permission bash", "deny");
    assert_at(config, "permission webfetch", "deny");
    assert_at(config, "permission edit", NULL);
    json_free(config);
    s.runner_permissions = SETTINGS_BYPASS;
    config = config_of(&s, &turn);
    assert_at(config, "permission *", "allow");
    assert_at(config, "permission bash", NULL);
    json_free(config);
    t.mode = TASK_MODE_ASK;
    config = config_of(&s, &turn);
    assert_at(config, "permission edit *", "deny");
    assert_at(config, "permission edit *home/agent/outbox/*", "allow");
    json_free(config);
}

static void its_own_files_cannot_move_the_model_elsewhere(void **state)
{
    struct settings s = usual();
    struct settings_pair keys[] = { { .name = TEXT("ANTHROPIC_API_KEY"), .value = TEXT("/k") },
                                    { .name = TEXT("GROQ_API_KEY"), .value = TEXT("/g") } };
    struct settings_pair url = { .name = TEXT("ANTHROPIC_BASE_URL"),
                                 .value = TEXT("https://models.example/v1") };
    struct task t = { .prompt = TEXT("go") };
    const struct runner_turn turn = { .task = &t };
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    struct runner_start start;
    struct json *config;

    (void)state;
    s.runner_secrets = (struct settings_pairs){ .items = keys, .len = 2 };
    s.runner_env = (struct settings_pairs){ .items = &url, .len = 1 };
    config = config_of(&s, &turn);
    assert_at(config, "model", "anthropic/claude-x");
    assert_at(config, "provider anthropic options baseURL", BROKER_URL "/anthropic/v1");
    assert_at(config, "provider anthropic options apiKey", PROVIDER_PLACEHOLDER);
    assert_at(config, "provider anthropic npm", NULL);
    assert_non_null(json_get(
        json_get(json_get(json_get(config, "provider"), "anthropic"), "models"), "claude-x"));
    assert_at(config, "provider groq options baseURL", BROKER_URL "/groq/v1");
    assert_at(config, "provider groq npm", "@ai-sdk/openai-compatible");
    assert_at(config, "provider openai", NULL);
    json_free(config);
    start = start_with(&s, &turn);
    assert_null(launch_env(&start, "ANTHROPIC_BASE_URL"));
    runner_start_done(&start);
    runner_brokers(&s, &brokers);
    assert_int_equal(brokers.len, 2);
    assert_string_equal(brokers.items[0].upstream, "https://models.example");
    assert_string_equal(brokers.items[0].header, "x-api-key");
    assert_string_equal(brokers.items[1].upstream, "https://api.groq.com/openai");
}

static void an_entry_of_the_brokers_is_a_provider(void **state)
{
    struct settings s = usual();
    struct broker entry = { .name = TEXT("zai"), .upstream = TEXT("https://api.z.example/api") };
    struct task t = { .prompt = TEXT("go") };
    struct err err = { 0 };
    struct json *config;

    (void)state;
    s.runner_model = TEXT("zai/glm-4.6");
    assert_non_null(strstr(runner_advice(&s), "in an entry of broker"));
    strv_add(&entry.paths, "/paas/v4/chat/completions");
    s.broker = (struct broker_list){ .items = &entry, .len = 1 };
    s.sandbox_network_mode = TEXT("none");
    assert_int_equal(runner_check(&s, &err), 0);
    assert_null(runner_advice(&s));
    config = config_of(&s, &(struct runner_turn){ .task = &t });
    assert_at(config, "provider zai options baseURL", BROKER_URL "/zai/paas/v4");
    assert_at(config, "provider zai options apiKey", PROVIDER_PLACEHOLDER);
    assert_at(config, "provider zai npm", "@ai-sdk/openai-compatible");
    json_free(config);
    strv_done(&entry.paths);
}

static void without_a_broker_the_program_has_the_key_itself(void **state)
{
    struct settings s = usual();
    struct settings_pair key = { .name = TEXT("OPENAI_API_KEY"), .value = TEXT("/k") };
    struct task t = { .prompt = TEXT("go") };
    struct json *config;

    (void)state;
    s.runner_model = TEXT("openai/gpt-5");
    s.runner_secrets = (struct settings_pairs){ .items = &key, .len = 1 };
    s.runner_broker = false;
    config = config_of(&s, &(struct runner_turn){ .task = &t });
    assert_at(config, "provider openai options baseURL", NULL);
    assert_at(config, "provider openai options apiKey", NULL);
    json_free(config);
    assert_non_null(strstr(runner_exposed(&s), "runner.broker is off"));
}

static void a_login_that_is_refreshed_is_told(void **state)
{
    struct settings s = usual();
    struct settings_pair login = { .name = TEXT("OPENCODE_AUTH_CONTENT"), .value = TEXT("/a") };
    struct task t = { .prompt = TEXT("go") };
    struct runner_start start;

    (void)state;
    s.runner_secrets = (struct settings_pairs){ .items = &login, .len = 1 };
    assert_null(runner_advice(&s));
    assert_non_null(strstr(runner_exposed(&s), "can't be brokered"));
    assert_non_null(strstr(runner_exposed(&s), "use an API key instead"));
    start = start_with(&s, &(struct runner_turn){ .task = &t });
    assert_null(launch_env(&start, "OPENCODE_AUTH_CONTENT")); /* it comes with the secrets */
    runner_start_done(&start);
}

static void a_missing_key_is_told(void **state)
{
    struct settings s = usual();
    struct settings_pair other = { .name = TEXT("OPENAI_API_KEY"), .value = TEXT("/k") };

    (void)state;
    assert_non_null(strstr(runner_advice(&s), "auth.json"));
    s.runner_secrets = (struct settings_pairs){ .items = &other, .len = 1 };
    assert_non_null(strstr(runner_advice(&s), "runner.secrets")); /* of another provider */
    s.runner_model = TEXT("openai/gpt-5");
    assert_null(runner_advice(&s));
    s.runner_model = NULL;
    assert_non_null(runner_advice(&s));
}

static void a_model_without_its_provider_is_refused(void **state)
{
    static const char *const models[] = { "gpt-5", "/gpt-5", "openai/", "Open AI/x", "a{b/c" };
    struct settings s = usual();
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i <= ARRAY_SIZE(models); i++) {
        char model[32] = "";

        if (i < ARRAY_SIZE(models))
            strcpy(model, models[i]);
        s.runner_model = i < ARRAY_SIZE(models) ? model : NULL;
        assert_int_equal(runner_check(&s, &err), -EINVAL);
        assert_non_null(strstr(err.text, "runner.model"));
    }
    s.runner_model = TEXT("openrouter/deepseek/deepseek-chat:free");
    assert_int_equal(runner_check(&s, &err), 0);
}

/* A login that isn't an API's key, or an entry of broker, is no reason to open another's host. */
static void without_a_key_tasks_reach_the_models_own_host_alone(void **state)
{
    static const char *const rows[][2] = {
        { "anthropic/claude-x", "api.anthropic.com:443" },
        { "openai/gpt-5", "api.openai.com:443" },
        { "acme/x", NULL },
    };
    struct settings s = usual();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(strv_done) struct strv hosts = { 0 };
        char model[32];

        strcpy(model, rows[i][0]);
        s.runner_model = model;
        runner_hosts(&s, &hosts);
        assert_int_equal(hosts.len, rows[i][1] != NULL);
        if (rows[i][1])
            assert_string_equal(hosts.items[0], rows[i][1]);
    }
}

static void an_empty_message_is_refused_with_a_sentence(void **state)
{
    const struct settings s = usual();

    (void)state;
    launch_assert_empty_refused(&runner_opencode, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prompt_goes_to_standard_input),
        cmocka_unit_test(settings_and_session_become_options_that_no_value_can_leave),
        cmocka_unit_test(nothing_is_left_to_be_asked_for),
        cmocka_unit_test(its_own_files_cannot_move_the_model_elsewhere),
        cmocka_unit_test(an_entry_of_the_brokers_is_a_provider),
        cmocka_unit_test(without_a_broker_the_program_has_the_key_itself),
        cmocka_unit_test(a_login_that_is_refreshed_is_told),
        cmocka_unit_test(a_missing_key_is_told),
        cmocka_unit_test(a_model_without_its_provider_is_refused),
        cmocka_unit_test(without_a_key_tasks_reach_the_models_own_host_alone),
        cmocka_unit_test(an_empty_message_is_refused_with_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
