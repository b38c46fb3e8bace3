/* How Codex is started, and which settings suit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/codex.h"
#include "support/launch.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/strv.h"

#define ID      "01a201a1-c5a9-7c72-b3d5-880f8b705e54"
#define TEXT(s) ((char[]){ s })

static char codex[] = "codex", allowlist[] = "allowlist";

static struct settings usual(void)
{
    return (struct settings){ .runner_name = codex,
                              .sandbox_network_mode = allowlist,
                              .runner_broker = true };
}

static struct runner_start start_with(const struct settings *s, const struct runner_turn *turn)
{
    return launch_with(&runner_codex, s, turn);
}

static bool has(const struct strv *v, const char *word)
{
    for (size_t i = 0; i < v->len; i++)
        if (strcmp(v->items[i], word) == 0)
            return true;
    return false;
}

static void the_prompt_and_the_brief_go_to_standard_input(void **state)
{
    const struct settings s = usual();
    struct task t = { .prompt = TEXT("--help me"), .system_prompt = TEXT("Be brief.") };
    CLEANUP(runner_start_done)
    struct runner_start start = start_with(&s, &(struct runner_turn){ .task = &t });

    (void)state;
    assert_string_equal(start.argv.items[0], "codex");
    assert_string_equal(start.argv.items[1], "exec");
    assert_string_equal(start.argv.items[start.argv.len - 1], "-");
    assert_false(has(&start.argv, "resume"));
    assert_true(has(&start.argv, "--dangerously-bypass-approvals-and-sandbox"));
    for (size_t i = 0; i < start.argv.len; i++)
        assert_null(strstr(start.argv.items[i], "brief"));
    assert_int_equal(strncmp(start.input, "# BEHAVIOR INSTRUCTIONS\n\nBe brief.", 34), 0);
    assert_non_null(strstr(start.input, "\n\n# USER MESSAGE\n\n--help me"));
    assert_int_equal(start.input_len, strlen(start.input));
    assert_null(start.brief);
    assert_false(start.workspace_read_only);
}

static void a_thread_is_resumed_by_its_id_alone(void **state)
{
    const struct settings s = usual();
    struct task t = { .prompt = TEXT("more") };
    const struct runner_turn turn = { .task = &t, .session = ID "_1_2_3_4" };
    const struct runner_turn odd = { .task = &t, .session = "--last" };
    CLEANUP(runner_start_done) struct runner_start start = start_with(&s, &turn);
    CLEANUP(runner_start_done) struct runner_start anew = start_with(&s, &odd);
    size_t n = start.argv.len;

    (void)state;
    assert_string_equal(start.argv.items[n - 3], "resume");
    assert_string_equal(start.argv.items[n - 2], ID);
    assert_string_equal(start.argv.items[n - 1], "-");
    assert_string_equal(start.input, "more");
    assert_false(has(&anew.argv, "resume") || has(&anew.argv, "--last"));
}

static void in_ask_mode_nothing_can_be_written_and_the_model_is_told_each_time(void **state)
{
    const struct settings s = usual();
    struct task t = { .prompt = TEXT("why?"), .mode = TASK_MODE_ASK };
    const struct runner_turn turn = { .task = &t, .session = ID };
    CLEANUP(runner_start_done)
    struct runner_start first = start_with(&s, &(struct runner_turn){ .task = &t });
    CLEANUP(runner_start_done) struct runner_start later = start_with(&s, &turn);

    (void)state;
    assert_true(first.workspace_read_only && later.workspace_read_only);
    assert_non_null(strstr(first.input, "This is ask mode"));
    assert_non_null(strstr(later.input, "This is ask mode"));
    assert_non_null(strstr(later.input, "\n\nwhy?"));
}

static void a_brokered_key_stays_out_and_the_broker_is_asked(void **state)
{
    struct settings_pair key = { .name = TEXT("OPENAI_API_KEY"), .value = TEXT("/etc/key") };
    struct settings_pair env = { .name = TEXT("CODEX_API_KEY"), .value = TEXT("sk-mine") };
    struct settings s = usual();
    struct task t = { .prompt = TEXT("hello") };
    CLEANUP(runner_start_done) struct runner_start start = { 0 };
    CLEANUP(runner_start_done) struct runner_start open = { 0 };

    (void)state;
    s.runner_secrets = (struct settings_pairs){ .items = &key, .len = 1 };
    s.runner_env = (struct settings_pairs){ .items = &env, .len = 1 };
    start = start_with(&s, &(struct runner_turn){ .task = &t });
    assert_true(has(&start.argv, "model_provider=\"nairid\""));
    assert_true(
        has(&start.argv, "model_providers.nairid.base_url=\"http://127.0.0.1:808/openai/v1\""));
    assert_true(has(&start.argv, "model_providers.nairid.env_key=\"OPENAI_API_KEY\""));
    assert_true(has(&start.env, "OPENAI_API_KEY=" PROVIDER_PLACEHOLDER));
    assert_int_equal(start.env.len, 1);
    s.runner_broker = false;
    s.runner_secrets.len = 0;
    open = start_with(&s, &(struct runner_turn){ .task = &t });
    assert_true(has(&open.argv, "model_providers.nairid.base_url=\"https://api.openai.com/v1\""));
    assert_true(has(&open.argv, "model_providers.nairid.env_key=\"CODEX_API_KEY\""));
    assert_true(has(&open.env, "CODEX_API_KEY=sk-mine"));
}

static void settings_become_values_that_none_of_them_can_leave(void **state)
{
    struct settings_pair env = { .name = TEXT("OPENAI_BASE_URL"),
                                 .value = TEXT("https://a/\"\\\n=x") };
    struct settings s = usual();
    struct task t = { .prompt = TEXT("hello") };
    CLEANUP(runner_start_done) struct runner_start start = { 0 };

    (void)state;
    s.runner_env = (struct settings_pairs){ .items = &env, .len = 1 };
    s.runner_model = TEXT("gpt-\"x\"");
    start = start_with(&s, &(struct runner_turn){ .task = &t });
    assert_true(has(&start.argv, "model=\"gpt-\\\"x\\\"\""));
    assert_true(
        has(&start.argv, "model_providers.nairid.base_url=\"https://a/\\\"\\\\\\u000a=x\""));
}

static void a_login_of_its_own_counts_where_there_is_no_key(void **state)
{
    struct settings_pair home = { .name = TEXT("CODEX_HOME"), .value = TEXT("/srv/codex") };
    struct settings_pair key = { .name = TEXT("OPENAI_API_KEY"), .value = TEXT("/etc/key") };
    struct settings s = usual();
    struct task t = { .prompt = TEXT("hello") };
    CLEANUP(strv_done) struct strv hosts = { 0 }, none = { 0 };
    CLEANUP(runner_start_done) struct runner_start start = { 0 };

    (void)state;
    s.runner_env = (struct settings_pairs){ .items = &home, .len = 1 };
    start = start_with(&s, &(struct runner_turn){ .task = &t });
    assert_false(has(&start.argv, "model_provider=\"nairid\""));
    runner_hosts(&s, &hosts);
    assert_int_equal(hosts.len, 2);
    assert_string_equal(hosts.items[0], "chatgpt.com:443");
    assert_non_null(strstr(runner_exposed(&s), "can't be brokered"));
    s.runner_secrets = (struct settings_pairs){ .items = &key, .len = 1 };
    runner_hosts(&s, &none);
    assert_int_equal(none.len, 0);
    assert_null(runner_exposed(&s));
}

static void what_does_not_suit_it_is_refused_or_told(void **state)
{
    struct settings s = usual();
    struct task t = { .prompt = TEXT(" \n") };
    struct runner_start start;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(runner_check(&s, &err), 0);
    assert_non_null(strstr(runner_advice(&s), "OPENAI_API_KEY"));
    assert_non_null(strstr(runner_advice(&s), "auth.json"));
    assert_int_equal(runner_codex.prepare(&s, &(struct runner_turn){ .task = &t }, &start, &err),
                     -EINVAL);
    s.sandbox_network_mode = TEXT("none");
    assert_int_equal(runner_check(&s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "leaves Codex no way to its model"));
    s = usual();
    s.runner_model = TEXT("two words");
    assert_int_equal(runner_check(&s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "runner.model"));
    s = usual();
    strv_add(&s.runner_argv, "codex");
    assert_int_equal(runner_check(&s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no meaning for the runner codex"));
    strv_done(&s.runner_argv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prompt_and_the_brief_go_to_standard_input),
        cmocka_unit_test(a_thread_is_resumed_by_its_id_alone),
        cmocka_unit_test(in_ask_mode_nothing_can_be_written_and_the_model_is_told_each_time),
        cmocka_unit_test(a_brokered_key_stays_out_and_the_broker_is_asked),
        cmocka_unit_test(settings_become_values_that_none_of_them_can_leave),
        cmocka_unit_test(a_login_of_its_own_counts_where_there_is_no_key),
        cmocka_unit_test(what_does_not_suit_it_is_refused_or_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
