/* The forms in which a value may be seen. That they are found in texts is in test_mask.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/encodings.h"

static void collect(const char *bytes, size_t len, void *ctx)
{
    buf_append_char(ctx, '\1');
    buf_append(ctx, bytes, len);
    buf_append_char(ctx, '\2');
}

static void assert_has(const char *value, const char *form, bool want)
{
    CLEANUP(buf_done) struct buf all = { 0 }, one = { 0 };

    encodings_each(value, strlen(value), collect, &all);
    collect(form, strlen(form), &one);
    if ((strstr(buf_str(&all), buf_str(&one)) != NULL) != want)
        fail_msg("'%s' %s a form of '%s'", form, want ? "isn't" : "is", value);
}

static void a_value_is_seen_in_each_usual_form(void **state)
{
    static const struct {
        const char *value, *form;
    } cases[] = {
        { "a b/c\xc3\xa9?>", "a b/c\xc3\xa9?>" },
        { "a b/c\xc3\xa9?>", "YSBiL2PDqT8+" },          /* base64 */
        { "a b/c\xc3\xa9?>", "YSBiL2PDqT8-" },          /* and as in URLs */
        { "a b/c\xc3\xa9?>", "EgYi9jw6k/P" },           /* behind one byte */
        { "a b/c\xc3\xa9?>", "hIGIvY8OpPz" },           /* behind two */
        { "a b/c\xc3\xa9?>", "a%20b%2Fc%C3%A9%3F%3E" }, /* percent-encoding */
        { "a b/c\xc3\xa9?>", "a%20b%2fc%c3%a9%3f%3e" },
        { "a b/c\xc3\xa9?>", "a+b%2Fc%C3%A9%3F%3E" },
        { "a b/c\xc3\xa9?>", "a%20b/c%C3%A9?%3E" },     /* of a whole URL */
        { "a b/c\xc3\xa9?>", "a b\\/c\xc3\xa9?>" },     /* PHP */
        { "a b/c\xc3\xa9?>", "a b/c\xc3\xa9?\\u003e" }, /* Go */
        { "a b/c\xc3\xa9?>", "a b/c\\u00e9?>" },        /* Python */
        { "say \"it\"\n", "say \\\"it\\\"\\n" },
        { "say \"it\"\n", "say \\\\\\\"it\\\\\\\"\\\\n" }, /* JSON in JSON */
        { "key \xf0\x9f\x98\x80", "key \\ud83d\\ude00" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_has(cases[i].value, cases[i].form, true);
    assert_has("a b", "a_b", false);
}

static void of_several_lines_the_long_ones_count_each(void **state)
{
    static const char key[] = "-----BEGIN PRIVATE KEY-----\r\n0123456789abcdef\r\nshort\r\n"
                              "fedcba9876543210\n-----END PRIVATE KEY-----\n";

    (void)state;
    assert_has(key, "0123456789abcdef", true);
    assert_has(key, "fedcba9876543210", true);
    assert_has(key, "short", false);
    assert_has(key, "-----BEGIN PRIVATE KEY-----", false);
    assert_has("0123456789abcdef\n", "0123456789abcdef", true);
}

static void long_base64_is_seen_by_lines(void **state)
{
    static const char value[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    (void)state;
    assert_has(value, "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktM", true);
    assert_has(value, "TU5PUFFSU1RVVldYWVo=", true);
    assert_has(value,
               "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU5PUFFSU1RV",
               true);
    assert_has(value, "VldYWVo=", false); /* too short to tell */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_seen_in_each_usual_form),
        cmocka_unit_test(of_several_lines_the_long_ones_count_each),
        cmocka_unit_test(long_base64_is_seen_by_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
