/* How Claude Code is started, and which settings suit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/claude.h"
#include "support/launch.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/strv.h"

#define TEXT(s) ((char[]){ s })

static struct settings usual(void)
{
    static char name[] = "claude", host[] = "host";

    return (struct settings){ .runner_name = name, .sandbox_network_mode = host };
}

static struct runner_start start_with(const struct settings *s, const struct runner_turn *turn)
{
    return launch_with(&runner_claude, s, turn);
}

static void the_prompt_goes_to_standard_input(void **state)
{
    const struct settings s = usual();
    struct task t = { .prompt = TEXT("--help me\n-p") };
    struct runner_start start = start_with(&s, &(struct runner_turn){ .task = &t });

    (void)state;
    launch_assert_argv(&start,
                       "claude --verbose --output-format=stream-json "
                       "--permission-mode=acceptEdits --append-system-prompt-file=/nairid/brief "
                       "-p");
    launch_assert_prompt(&start, "--help me\n-p");
    runner_start_done(&start);
}

static void mcp_servers_are_waited_for_and_the_file_of_them_named(void **state)
{
    const struct settings s = usual();
    struct task t = { .prompt = TEXT("go") };
    struct runner_start start = start_with(&s, &(struct runner_turn){ .task = &t });

    (void)state;
    assert_null(launch_env(&start, "MCP_CONNECTION_NONBLOCKING"));
    runner_start_done(&start);
    start = start_with(&s, &(struct runner_turn){ .task = &t, .has_mcp = true });
    assert_string_equal(launch_env(&start, "MCP_CONNECTION_NONBLOCKING"), "0");
    assert_string_equal(launch_env(&start, "MCP_CONNECT_TIMEOUT_MS"), "30000");
    launch_assert_argv(&start,
                       "claude --verbose --output-format=stream-json "
                       "--permission-mode=acceptEdits --append-system-prompt-file=/nairid/brief "
                       "--mcp-config=" RUNNER_MCP_PATH " -p");
    runner_start_done(&start);
}

static void settings_and_session_become_options_that_no_value_can_leave(void **state)
{
    struct settings s = usual();
    struct task t = { .prompt = TEXT("go"), .system_prompt = TEXT("--be brief") };
    const struct runner_turn turn = { .task = &t, .session = "-x" };
    struct runner_start start;

    (void)state;
    s.runner_program = TEXT("/opt/claude/bin/claude");
    s.runner_model = TEXT("-p");
    s.runner_permissions = SETTINGS_BYPASS;
    start = start_with(&s, &turn);
    launch_assert_argv(&start, "/opt/claude/bin/claude --verbose --output-format=stream-json "
                               "--dangerously-skip-permissions --resume=-x --model=-p "
                               "--append-system-prompt-file=/nairid/brief -p");
    assert_int_equal(strncmp(start.brief, "--be brief\n\n", 12), 0);
    runner_start_done(&start);
}

static void in_ask_mode_nothing_can_be_written_and_the_model_is_told(void **state)
{
    const struct settings s = usual();
    struct task t = { .prompt = TEXT("why?"), .mode = TASK_MODE_ASK };
    struct runner_start start = start_with(&s, &(struct runner_turn){ .task = &t });

    (void)state;
    assert_true(start.workspace_read_only);
    launch_assert_argv(&start,
                       "claude --verbose --output-format=stream-json "
                       "--permission-mode=acceptEdits --append-system-prompt-file=/nairid/brief "
                       "--disallowedTools=Edit,Write,NotebookEdit -p");
    assert_non_null(strstr(start.brief, "read-only"));
    runner_start_done(&start);
    t.system_prompt = TEXT("Be brief.");
    start = start_with(&s, &(struct runner_turn){ .task = &t });
    assert_int_equal(strncmp(start.brief, "Be brief.\n\n", 11), 0);
    assert_non_null(strstr(start.brief, "This is ask mode"));
    runner_start_done(&start);
    start = start_with(&s, &(struct runner_turn){ .task = &t, .outbox = "/home/agent/outbox" });
    launch_assert_argv(&start,
                       "claude --verbose --output-format=stream-json "
                       "--permission-mode=acceptEdits --append-system-prompt-file=/nairid/brief "
                       "--add-dir=/home/agent/outbox "
                       "--disallowedTools=Edit(//workspace/**),NotebookEdit -p");
    assert_non_null(strstr(start.brief, "/home/agent/outbox"));
    runner_start_done(&start);
}

static void earlier_messages_are_told_to_a_new_session_only(void **state)
{
    const struct settings s = usual();
    struct task t = { .prompt = TEXT("go"),
                      .payload = TEXT("{\"previous_messages\":[{\"message\":\"before\"}]}") };
    struct runner_start start = start_with(&s, &(struct runner_turn){ .task = &t });

    (void)state;
    assert_non_null(strstr(start.input, "before"));
    assert_int_equal(start.input_len, strlen(start.input));
    runner_start_done(&start);
    start = start_with(&s, &(struct runner_turn){ .task = &t, .session = "s" });
    assert_string_equal(start.input, "go");
    runner_start_done(&start);
}

static void variables_of_the_settings_come_after_ours(void **state)
{
    struct settings s = usual();
    struct task t = { .prompt = TEXT("go") };
    struct settings_pair env = { .name = TEXT("DISABLE_AUTOUPDATER"), .value = TEXT("0") };
    struct runner_start start;

    (void)state;
    s.runner_env = (struct settings_pairs){ .items = &env, .len = 1 };
    start = start_with(&s, &(struct runner_turn){ .task = &t });
    assert_int_equal(start.env.len, 3); /* the plan takes the last of a name */
    assert_string_equal(start.env.items[0], "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1");
    assert_string_equal(start.env.items[1], "DISABLE_AUTOUPDATER=1");
    assert_string_equal(start.env.items[2], "DISABLE_AUTOUPDATER=0");
    runner_start_done(&start);
}

static void an_empty_message_is_refused_with_a_sentence(void **state)
{
    const struct settings s = usual();

    (void)state;
    launch_assert_empty_refused(&runner_claude, &s);
}

static void must_refuse(const struct settings *s, const char *want)
{
    struct err err = { 0 };

    assert_int_equal(runner_check(s, &err), -EINVAL);
    if (!strstr(err.text, want))
        fail_msg("%s", err.text);
}

static void settings_that_do_not_suit_it_are_refused(void **state)
{
    static const char *const models[] = { "", "two words", "-p", "a\tb", "\xc3\xa9", " opus" };
    struct settings s = usual();
    struct err err = { 0 };

    (void)state;
    assert_int_equal(runner_check(&s, &err), 0);
    for (size_t i = 1; i < ARRAY_SIZE(models); i++) {
        char model[32];

        strcpy(model, models[i]);
        s.runner_model = model;
        must_refuse(&s, "runner.model");
    }
    s.runner_model = TEXT("us.anthropic.claude-opus-4-1:0[1m]");
    assert_int_equal(runner_check(&s, &err), 0);
    s.runner_program = TEXT("bin/claude");
    must_refuse(&s, "runner.program 'bin/claude'");
    s.runner_program = TEXT("/opt/claude");
    assert_int_equal(runner_check(&s, &err), 0);
    s.sandbox_network_mode = TEXT("none");
    must_refuse(&s, "sandbox.network.mode none");
    s.sandbox_network_mode = TEXT("host");
    strv_add(&s.runner_argv, "claude");
    must_refuse(&s, "runner.argv");
    strv_done(&s.runner_argv);
}

static void a_missing_key_is_told(void **state)
{
    struct settings s = usual();
    struct settings_pair key = { .name = TEXT("CLAUDE_CODE_OAUTH_TOKEN"), .value = TEXT("/k") };

    (void)state;
    assert_non_null(strstr(runner_advice(&s), "runner.secrets"));
    s.runner_secrets = (struct settings_pairs){ .items = &key, .len = 1 };
    assert_null(runner_advice(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prompt_goes_to_standard_input),
        cmocka_unit_test(mcp_servers_are_waited_for_and_the_file_of_them_named),
        cmocka_unit_test(settings_and_session_become_options_that_no_value_can_leave),
        cmocka_unit_test(in_ask_mode_nothing_can_be_written_and_the_model_is_told),
        cmocka_unit_test(earlier_messages_are_told_to_a_new_session_only),
        cmocka_unit_test(variables_of_the_settings_come_after_ours),
        cmocka_unit_test(an_empty_message_is_refused_with_a_sentence),
        cmocka_unit_test(settings_that_do_not_suit_it_are_refused),
        cmocka_unit_test(a_missing_key_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
