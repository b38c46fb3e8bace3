/* What is told where Codex failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "runner/codex_words.h"
#include "util/cleanup.h"

static void each_cause_has_its_words(void **state)
{
    static const struct {
        const char *message, *ours;
    } rows[] = {
        { "unexpected status 401 Unauthorized: no, url: http://x/", "refused the key" },
        { "unexpected status 403 Forbidden: no", "refused the key, or what" },
        { "unexpected status 404 Not Found: model x does not exist", "runner.model" },
        { "unexpected status 418 Teapot", "refused the request" },
        { "unexpected status 502 Bad Gateway: nairid: the broker could not",
          "not reach its model" },
        { "unexpected status 502 Bad Gateway: x", "has a problem" },
        { "exceeded retry limit, last status: 429 Too Many Requests", "limits how much" },
        { "Quota exceeded. Check your plan and billing details.", "usage limit" },
        { "Selected model is at capacity.", "overloaded" },
        { "Codex ran out of room in the model's context window.", "longer than the model" },
        { "Missing environment variable: `OPENAI_API_KEY`.", "has no key" },
        { "stream disconnected before completion: error sending request", "not reach its model" },
        { "stream disconnected before completion", "broke off its answer" },
        { "Reconnecting... waiting for network", "not reach its model" },
        { "something new", "Codex could not answer. Codex said: something new" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool gone = true;
        AUTO_FREE char *text = codex_words(rows[i].message, &gone);

        if (!strstr(text, rows[i].ours))
            fail_msg("'%s' is told as '%s'", rows[i].message, text);
        assert_false(gone);
    }
}

static void an_apis_answer_is_told_by_its_own_words(void **state)
{
    bool gone;
    AUTO_FREE char *text = codex_words(
        "{\"error\":{\"message\":\"too many tools\",\"type\":\"invalid_request_error\"}}", &gone);
    AUTO_FREE char *odd = codex_words("{\"error\":7}", &gone);
    AUTO_FREE char *none = codex_words(NULL, &gone);

    (void)state;
    assert_non_null(strstr(text, "refused the request. Codex said: too many tools"));
    assert_string_equal(odd, "Codex could not answer. Codex said: {\"error\":7}");
    assert_string_equal(none, "Codex could not answer");
    assert_false(gone);
}

static void standard_error_tells_what_keeps_it_from_starting(void **state)
{
    bool gone = false;
    AUTO_FREE char *session =
        codex_words_stderr("Error: thread/resume: thread/resume failed: no rollout found", &gone);
    AUTO_FREE char *option = NULL;

    (void)state;
    assert_true(gone);
    assert_non_null(strstr(session, "not there any more"));
    option = codex_words_stderr("error: unexpected argument '--json' found", &gone);
    assert_false(gone);
    assert_non_null(strstr(option, "npm install -g @openai/codex"));
    assert_null(codex_words_stderr("Reading additional input from stdin...", &gone));
    assert_null(codex_words_stderr(NULL, &gone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cause_has_its_words),
        cmocka_unit_test(an_apis_answer_is_told_by_its_own_words),
        cmocka_unit_test(standard_error_tells_what_keeps_it_from_starting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
