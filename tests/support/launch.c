#include "support/launch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

struct runner_start launch_with(const struct runner *runner, const struct settings *s,
                                const struct runner_turn *turn)
{
    struct runner_start start = { 0 };
    struct err err = { 0 };

    if (runner->prepare(s, turn, &start, &err) < 0)
        fail_msg("%s", err.text);
    return start;
}

void launch_assert_argv(const struct runner_start *start, const char *want)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    for (size_t i = 0; i < start->argv.len; i++)
        buf_printf(&b, "%s%s", i > 0 ? " " : "", start->argv.items[i]);
    assert_string_equal(buf_str(&b), want);
}

void launch_assert_prompt(const struct runner_start *start, const char *want)
{
    assert_string_equal(start->input, want);
    assert_int_equal(start->input_len, strlen(start->input));
    assert_non_null(start->brief);
    assert_false(start->workspace_read_only);
}

const char *launch_env(const struct runner_start *start, const char *name)
{
    const char *value = NULL;
    size_t len = strlen(name);

    for (size_t i = 0; i < start->env.len; i++)
        if (strncmp(start->env.items[i], name, len) == 0 && start->env.items[i][len] == '=')
            value = start->env.items[i] + len + 1;
    return value;
}

void launch_assert_empty_refused(const struct runner *runner, const struct settings *s)
{
    char blank[] = " \n\t";
    char *const prompts[] = { blank, NULL };

    for (size_t i = 0; i < ARRAY_SIZE(prompts); i++) {
        struct task t = { .prompt = prompts[i] };
        struct runner_start start = { 0 };
        struct err err = { 0 };

        assert_int_equal(runner->prepare(s, &(struct runner_turn){ .task = &t }, &start, &err),
                         -EINVAL);
        assert_non_null(strstr(err.text, "empty"));
    }
}
