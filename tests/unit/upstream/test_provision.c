#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "upstream/provision.h"
#include "util/err.h"

static int read_token(const char *text, struct provision_token *ret)
{
    struct err err;

    return provision_read_token(text, strlen(text), ret, &err);
}

static void a_token_is_a_variable_with_an_end(void **state)
{
    struct provision_token t;

    (void)state;
    assert_int_equal(read_token("{\"token\":\"sk-1\",\"expires_at\":\"1970-01-01T00:00:10Z\","
                                "\"env_key\":\"ANTHROPIC_API_KEY\"}",
                                &t),
                     0);
    assert_string_equal(t.pair.items[0].name, "ANTHROPIC_API_KEY");
    assert_string_equal(t.pair.items[0].value, "sk-1");
    assert_int_equal(t.expires_ms, 10000);
    provision_token_done(&t);
}

static void what_is_no_token_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "null",
        "{}",
        "{\"token\":1,\"env_key\":\"A\"}",
        "{\"token\":\"\",\"env_key\":\"A\"}",
        "{\"token\":\"t\"}",
        "{\"token\":\"t\",\"env_key\":\"PATH\"}",
        "{\"token\":\"t\",\"env_key\":\"A B\"}",
        "{\"token\":\"t\",\"env_key\":\"A\",\"expires_at\":\"soon\"}",
        "{\"token\":\"t\",\"env_key\":\"A\"} and more",
    };
    struct provision_token t;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(read_token(bad[i], &t), -EBADMSG);
}

static void a_token_is_asked_for_again_before_it_ends(void **state)
{
    const uint64_t min_ms = 10000;

    (void)state;
    assert_int_equal(provision_refresh_in_ms(0, 1000, min_ms), 0); /* it has no end */
    assert_int_equal(provision_refresh_in_ms(3600000, 0, min_ms), 3600000 - 300000);
    assert_int_equal(provision_refresh_in_ms(100000, 0, min_ms), 90000);
    /* however late it is, and whatever the clocks say, not in a hot loop */
    assert_int_equal(provision_refresh_in_ms(1, 3600000, min_ms), min_ms);
    assert_int_equal(provision_refresh_in_ms(INT64_MAX / 2, 0, min_ms) > 0, 1);
}

static void one_bad_variable_is_named_and_the_rest_counts(void **state)
{
    static const char text[] =
        "{\"env_vars\":[{\"key\":\"A\",\"value\":\"1\"},{\"key\":\"LD_X\","
        "\"value\":\"secret\"},7,{\"key\":\"B\"},{\"key\":\"A\",\"value\":\"2\"}]}";
    struct provision_env env;
    struct err err;

    (void)state;
    assert_int_equal(provision_read_env(text, strlen(text), &env, &err), 0);
    assert_int_equal(env.pairs.len, 1);
    assert_string_equal(env.pairs.items[0].value, "2");
    assert_int_equal(env.problems.len, 3);
    for (size_t i = 0; i < env.problems.len; i++)
        assert_null(strstr(env.problems.items[i], "secret"));
    provision_env_done(&env);
}

static void no_variables_are_a_good_answer(void **state)
{
    static const char *const none[] = { "{\"env_vars\":[]}", "{\"env_vars\":null}" };
    struct provision_env env;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(provision_read_env(none[i], strlen(none[i]), &env, NULL), 0);
        assert_int_equal(env.pairs.len + env.problems.len, 0);
        provision_env_done(&env);
    }
    assert_int_equal(provision_read_env("{}", 2, &env, NULL), -EBADMSG);
    assert_int_equal(provision_read_env("{\"env_vars\":{}}", 15, &env, NULL), -EBADMSG);
}

static void of_a_location_only_the_base_name_counts(void **state)
{
    static const char text[] =
        "[{\"title\":\"T\",\"type\":\"rule\",\"files\":["
        "{\"location\":\"/etc/cron.d/a.md\",\"attachmentId\":\"att_1\"},"
        "{\"location\":\"C:\\\\x\\\\b.md\",\"attachmentId\":\"att_2\"},"
        "{\"location\":\"../..\",\"attachmentId\":\"att_3\"},"
        "{\"location\":\"x/.md\",\"attachmentId\":\"att_4\"},"
        "{\"location\":\"x/y.txt\",\"attachmentId\":\"att_5\"},"
        "{\"location\":\"x/y.md\",\"attachmentId\":\"../6\"}]},"
        "{\"title\":\"S\",\"type\":\"skill\",\"files\":[{\"location\":\"s-abc123.zip\","
        "\"attachmentId\":\"att_7\"}]},"
        "{\"title\":\"W\",\"type\":\"widget\",\"files\":[]}]";
    struct provision_files files;

    (void)state;
    assert_int_equal(provision_read_files(text, strlen(text), &files, NULL), 0);
    assert_int_equal(files.len, 3);
    assert_string_equal(files.items[0].name, "a.md");
    assert_string_equal(files.items[1].name, "b.md");
    assert_int_equal(files.items[2].kind, PROVISION_SKILL);
    assert_int_equal(files.problems.len, 5);
    assert_non_null(strstr(files.problems.items[4], "widget"));
    provision_files_done(&files);
}

static void nothing_is_listed_by_an_empty_list_or_null(void **state)
{
    struct provision_files files;

    (void)state;
    assert_int_equal(provision_read_files("[]", 2, &files, NULL), 0);
    assert_int_equal(files.len, 0);
    assert_int_equal(provision_read_files("null", 4, &files, NULL), 0);
    assert_int_equal(provision_read_files("{}", 2, &files, NULL), -EBADMSG);
    assert_int_equal(provision_read_files("[", 1, &files, NULL), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_a_variable_with_an_end),
        cmocka_unit_test(what_is_no_token_is_refused),
        cmocka_unit_test(a_token_is_asked_for_again_before_it_ends),
        cmocka_unit_test(one_bad_variable_is_named_and_the_rest_counts),
        cmocka_unit_test(no_variables_are_a_good_answer),
        cmocka_unit_test(of_a_location_only_the_base_name_counts),
        cmocka_unit_test(nothing_is_listed_by_an_empty_list_or_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
