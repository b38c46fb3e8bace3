/* Each cause of a failure has its own words, which say what to do. The codes and texts are those of
 * the real program; the recordings in test_claude_stream.c go the whole way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "runner/claude_words.h"
#include "util/cleanup.h"

#define ERROR "error_during_execution"

static void each_cause_has_its_words(void **state)
{
    static const struct {
        struct words_failure failure;
        const char *want;
    } cases[] = {
        { { "success", "rate_limit", 429,
            "API Error: Request rejected (429) · Rate limit reached" },
          "limits how much" },
        { { "success", "rate_limit", 429, "You've hit your session limit · resets 3pm" },
          "usage limit is reached" },
        { { "success", NULL, 0, "Claude AI usage limit reached|1760000000" },
          "usage limit is reached" },
        { { "success", "server_error", 529, "API Error: 529 Overloaded" }, "overloaded" },
        { { "success", "overloaded", 0, "Overloaded" }, "overloaded" },
        { { "success", "server_error", 503, "API Error: 503" }, "has a problem" },
        { { "success", "server_error", 0, "Request timed out" }, "could not reach" },
        { { "success", NULL, 0, "Unable to connect to API (ENOTFOUND)" }, "could not reach" },
        { { "success", "authentication_failed", 0, "Not logged in · Please run /login" },
          "not logged in" },
        { { "success", "authentication_failed", 403, "OAuth token revoked" }, "refused the key" },
        { { "success", NULL, 401, NULL }, "refused the key" },
        { { "success", "billing_error", 400, "Credit balance is too low" }, "no credit" },
        { { "success", NULL, 402, "Payment required" }, "no credit" },
        { { "success", "oauth_org_not_allowed", 403, "x" }, "may not use" },
        { { "success", "model_not_found", 404, "x" }, "runner.model" },
        { { "success", "invalid_request", 400, "Prompt is too long" }, "start a new conversation" },
        { { "success", "max_output_tokens", 0, "x" }, "shorter one" },
        { { "success", "invalid_request", 400, "API Error: 400 x" }, "refused the request" },
        { { "error_max_turns", NULL, 0, "Reached maximum number of turns (1)" }, "continue" },
        { { "error_max_budget_usd", NULL, 0, "x" }, "spent as much" },
        { { ERROR, NULL, 0, "" }, "send the message again" },
        { { NULL, NULL, 0, NULL }, "could not answer" },
        { { "error_of_tomorrow", "new_code", 0, "what now" }, "Claude Code said: what now" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool gone = true;
        AUTO_FREE char *text = claude_words(&cases[i].failure, &gone);

        if (!strstr(text, cases[i].want))
            fail_msg("case %zu says: %s", i, text);
        assert_false(gone);
    }
}

static void a_conversation_that_is_gone_is_known(void **state)
{
    static const char *const words[] = {
        "No conversation found with session ID: 00000000-0000-4000-8000-000000000000",
        "Error: --resume requires a valid session ID or session title when used with --print.",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        const struct words_failure failure = { .kind = ERROR, .words = words[i] };
        bool gone = false;
        AUTO_FREE char *text = claude_words(&failure, &gone);

        assert_true(gone);
        assert_non_null(strstr(text, "not there any more"));
    }
}

static void standard_error_tells_what_keeps_it_from_starting(void **state)
{
    static const struct {
        const char *tail, *want;
    } cases[] = {
        { "error: unknown option '--append-system-prompt-file'\n", "update it" },
        { "--dangerously-skip-permissions cannot be used with root/sudo privileges\n", "as root" },
        { "/usr/bin/env: \xe2\x80\x98node\xe2\x80\x99: No such file or directory\n", "needs node" },
        { "env: 'node': No such file or directory\n", "needs node" },
        { "Error: claude native binary not installed.\n", "install scripts" },
    };
    bool gone;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *text = claude_words_stderr(cases[i].tail, &gone);

        assert_non_null(text);
        assert_non_null(strstr(text, cases[i].want));
        assert_false(gone);
    }
    assert_null(claude_words_stderr("", &gone));
    assert_null(claude_words_stderr("Segmentation fault\n", &gone)); /* its status says it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cause_has_its_words),
        cmocka_unit_test(a_conversation_that_is_gone_is_known),
        cmocka_unit_test(standard_error_tells_what_keeps_it_from_starting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
