#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "settings/envname.h"
#include "util/cleanup.h"

static void a_name_is_letters_digits_and_underscores(void **state)
{
    static const char *const good[] = { "A", "_", "a_1", "GITHUB_TOKEN", "PATHS", "HOMEPAGE" };
    static const char *const bad[] = { "", "1A", "A-B", "A B", "A=B", "\xc3\xa9" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(envname_is_valid(good[i]));
        assert_null(envname_refusal(good[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(envname_is_valid(bad[i]));
        assert_non_null(envname_refusal(bad[i]));
    }
}

static void what_the_sandbox_or_the_daemon_means_by_a_name_is_refused(void **state)
{
    static const char *const reserved[] = {
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "http_proxy",
        "HTTPS_PROXY",
        "No_Proxy",
        "ALL_PROXY",
        "NAIRI_API_KEY",
        "NAIRID_CONFIG",
        "EKSEC_API_KEY",
        "CCAGENT_API_KEY",
        "AGENT_MCP_PROXY",
        "ANTHROPIC_BASE_URL",
        "OPENAI_BASE_URL",
        "OPENCODE_CONFIG_CONTENT",
        "GLOBAL_AGENT_NO_PROXY",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        assert_true(envname_is_valid(reserved[i]));
        assert_non_null(envname_refusal(reserved[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_letters_digits_and_underscores),
        cmocka_unit_test(what_the_sandbox_or_the_daemon_means_by_a_name_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
