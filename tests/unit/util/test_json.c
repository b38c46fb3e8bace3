#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"

/* From exact memory, so that a read past its end is seen. */
static int parse(const char *text, size_t len, struct json **ret_root, struct err *err)
{
    AUTO_FREE char *exact = len > 0 ? malloc(len) : NULL;

    if (len > 0)
        memcpy(exact, text, len);
    return json_parse(exact, len, ret_root, err);
}

static struct json *parsed(const char *text)
{
    struct json *root = NULL;
    struct err err = { 0 };

    if (parse(text, strlen(text), &root, &err) < 0)
        fail_msg("'%s': %s", text, err.text);
    return root;
}

static void every_kind_of_value_can_be_the_root(void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5e+3",
        "1E-2",
        "0.5",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        " [ 1 , 2 ] ",
        "\t{\"a\"\n:\r1}",
        "[[],{}]",
        "{\"\":{}}",
        "\"\xc3\xa4\"",
        "[-1e5]",
        "123456789012345678901234567890123456789012345678901234567890123",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct json *root = parsed(texts[i]);

        assert_non_null(root);
        json_free(root);
    }
}

static void what_rfc_8259_does_not_know_is_refused_with_its_byte(void **state)
{
    static const struct {
        const char *text;
        size_t byte;
        const char *why;
    } bad[] = {
        { "", 0, "ends too early" },
        { "  ", 2, "ends too early" },
        { "[1", 2, "comma or ]" },
        { "[1,", 3, "ends too early" },
        { "[1,]", 3, "a value" },
        { "[,1]", 1, "a value" },
        { "[1 2]", 3, "comma or ]" },
        { "[1}", 2, "comma or ]" },
        { "{\"a\":1,}", 7, "a key" },
        { "{\"a\" 1}", 5, "a colon" },
        { "{\"a\":}", 5, "a value" },
        { "{\"a\":1", 6, "comma or }" },
        { "{\"a\":1]", 6, "comma or }" },
        { "{a:1}", 1, "a key" },
        { "{1:1}", 1, "a key" },
        { "{\"1\":1,", 7, "a key" },
        { "{", 1, "a key" },
        { "nul", 0, "a value" },
        { "nulls", 4, "follows" },
        { "True", 0, "a value" },
        { "NaN", 0, "a value" },
        { "Infinity", 0, "a value" },
        { "'a'", 0, "a value" },
        { "01", 1, "follows" },
        { "-", 1, "a digit" },
        { "+1", 0, "a value" },
        { ".5", 0, "a value" },
        { "1.", 2, "a digit" },
        { "1.e5", 2, "a digit" },
        { "1e", 2, "a digit" },
        { "1e+", 3, "a digit" },
        { "0x10", 1, "follows" },
        { "1 1", 2, "follows" },
        { "{} {}", 3, "follows" },
        { "[]]", 2, "follows" },
        { "1234567890123456789012345678901234567890123456789012345678901234", 64, "too long" },
        { "\"a", 2, "isn't closed" },
        { "\"a\\", 3, "unknown escape" },
        { "\"a\\\"", 4, "isn't closed" },
        { "\"\n\"", 1, "control byte" },
        { "\"\x1f\"", 1, "control byte" },
        { "\"\\x\"", 2, "unknown escape" },
        { "\"\\'\"", 2, "unknown escape" },
        { "\"\\u12\"", 2, "unknown escape" },
        { "\"\\u12g4\"", 2, "unknown escape" },
        { "\"\\U1234\"", 2, "unknown escape" },
        { "\"\\u0000\"", 2, "NUL" },
        { "{\"a\\u0000b\":1}", 4, "NUL" },
        { "\"ab\xff\"", 1, "UTF-8" },
        { "\"\xc0\x80\"", 1, "UTF-8" },
        { "\"\xed\xa0\x80\"", 1, "UTF-8" },
        { "{\"\xe2\x82\":1}", 2, "UTF-8" },
        { "\xef\xbb\xbf{}", 0, "a value" }, /* a byte order mark */
        { "\xff", 0, "a value" },
        { "/* */ 1", 0, "a value" },
        { "<html>", 0, "a value" },
    };
    struct json *root = NULL;
    struct err err = { 0 };
    char at[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(parse(bad[i].text, strlen(bad[i].text), &root, &err), -EBADMSG);
        (void)snprintf(at, sizeof at, "at byte %zu: ", bad[i].byte);
        if (strstr(err.text, at) == NULL || strstr(err.text, bad[i].why) == NULL)
            fail_msg("'%s': %s", bad[i].text, err.text);
    }
    assert_null(root);
    assert_int_equal(parse("1\0", 2, &root, &err), -EBADMSG); /* bytes that are no white space */
    assert_int_equal(parse("\0001", 2, &root, &err), -EBADMSG);
    assert_int_equal(parse("\"a\0b\"", 5, &root, &err), -EBADMSG);
    assert_int_equal(parse("[1,2]", 5, &root, NULL), 0);
    json_free(root);
}

static void no_cut_of_a_document_is_taken_for_the_whole(void **state)
{
    static const char text[] = "{\"a\": [1, -2.5e3, \"x\\u00e4\\ud83d\\ude00\\n\", true, null], "
                               "\"b\": {\"c\": \"\xf0\x9f\x98\x80\"}}";
    struct json *root = NULL;

    (void)state;
    for (size_t len = 0; len < sizeof text - 1; len++)
        assert_int_equal(parse(text, len, &root, NULL), -EBADMSG);
    assert_int_equal(parse(text, sizeof text - 1, &root, NULL), 0);
    json_free(root);
}

static int parse_nested(size_t depth, char open, char close)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    CLEANUP_PTR(json_free) struct json *root = NULL;

    for (size_t i = 0; i < depth; i++) {
        buf_append_char(&b, open);
        if (open == '{')
            buf_append_str(&b, "\"[[[[\":"); /* brackets in a string don't count */
    }
    if (open == '{')
        buf_append_str(&b, "1");
    for (size_t i = 0; i < depth && close != 0; i++)
        buf_append_char(&b, close);
    return parse(b.data, b.len, &root, NULL);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, '[', ']'), 0);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX + 1, '[', ']'), -EBADMSG);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, '{', '}'), 0);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX + 1, '{', '}'), -EBADMSG);
    assert_int_equal(parse_nested(10000000, '[', 0), -EBADMSG); /* and the stack isn't eaten */
}

static void strings_are_decoded(void **state)
{
    CLEANUP_PTR(json_free)
    struct json *root = parsed("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"\\u00e4\\u20AC\\ud83D\\uDe00\","
                               "\"\xc3\xa4\x7f\"]");
    const struct json *c = json_first(root);

    (void)state;
    assert_string_equal(json_str(c), "\"\\/\b\f\n\r\t");
    c = json_next(c);
    assert_string_equal(json_str(c), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    c = json_next(c);
    assert_string_equal(json_str(c), "\xc3\xa4\x7f");
    assert_null(json_next(c));
}

static void half_a_surrogate_pair_becomes_a_replacement(void **state)
{
    static const struct {
        const char *text, *want;
    } samples[] = {
        { "\"a\\ud83d\"", "a\xef\xbf\xbd" },
        { "\"\\ude00b\"", "\xef\xbf\xbd"
                          "b" },
        { "\"\\ud83d\\n\"", "\xef\xbf\xbd\n" },
        { "\"\\ud83dx\"", "\xef\xbf\xbdx" },
        { "\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80" },
        { "\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                                "A" },
        { "\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\"\\\\ud83d\"", "\\ud83d" }, /* only the backslash is escaped here */
    };
    struct json *root = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        root = parsed(samples[i].text);
        assert_string_equal(json_str(root), samples[i].want);
        json_free(root);
    }
    assert_int_equal(parse("\"\\ud83d\\u0000\"", 14, &root, NULL), -EBADMSG);
}

static void members_are_found_by_their_exact_key_and_the_first_counts(void **state)
{
    CLEANUP_PTR(json_free)
    struct json *root =
        parsed("{\"a\":\"one\",\"A\":\"two\",\"a\":\"three\",\"\":\"none\",\"n\":null}");

    (void)state;
    assert_string_equal(json_get_str(root, "a"), "one");
    assert_string_equal(json_get_str(root, "A"), "two");
    assert_string_equal(json_get_str(root, ""), "none");
    assert_null(json_get_str(root, "n"));
    assert_true(json_is_null(json_get(root, "n")));
    assert_null(json_get(root, "b"));
    assert_int_equal(json_len(root), 5);
}

static void nothing_is_found_in_what_is_no_object(void **state)
{
    CLEANUP_PTR(json_free) struct json *array = parsed("[\"a\"]");
    CLEANUP_PTR(json_free) struct json *text = parsed("\"a\"");
    int64_t n = 7;
    bool b = true;

    (void)state;
    assert_null(json_get(NULL, "a"));
    assert_null(json_get(array, "a"));
    assert_null(json_get(text, "a"));
    assert_null(json_get_str(NULL, "a"));
    assert_int_equal(json_get_i64(NULL, "a", &n), -ENOENT);
    assert_int_equal(json_get_bool(array, "a", &b), -ENOENT);
    assert_int_equal(json_len(NULL) + json_len(text), 0);
    assert_null(json_first(NULL));
    assert_null(json_first(text));
    assert_null(json_next(NULL));
    assert_null(json_key(NULL));
    assert_null(json_key(array));
    assert_null(json_str(NULL));
    assert_null(json_str(array));
    assert_false(json_is_object(NULL) || json_is_array(NULL) || json_is_string(NULL) ||
                 json_is_null(NULL));
    assert_true(json_is_array(array) && json_is_string(text));
    assert_null(json_copy(NULL));
    json_free(NULL);
    assert_true(n == 7 && b);
}

static void integers_are_exact_or_refused(void **state)
{
    static const struct {
        const char *text;
        int r;
        int64_t n;
    } samples[] = {
        { "0", 0, 0 },
        { "-0", 0, 0 },
        { "42", 0, 42 },
        { "-42", 0, -42 },
        { "1e3", 0, 1000 },
        { "1.0", 0, 1 },
        { "2147483648", 0, 2147483648 },
        { "9007199254740991", 0, 9007199254740991 },
        { "-9007199254740991", 0, -9007199254740991 },
        { "9007199254740992", -EINVAL, 0 },
        { "9007199254740993", -EINVAL, 0 }, /* reads as the one before it */
        { "-9007199254740993", -EINVAL, 0 },
        { "9223372036854775808", -EINVAL, 0 },
        { "1e18", -EINVAL, 0 },
        { "1e999", -EINVAL, 0 },
        { "-1e999", -EINVAL, 0 },
        { "1.5", -EINVAL, 0 },
        { "-0.1", -EINVAL, 0 },
        { "1e-3", -EINVAL, 0 },
        { "\"1\"", -EINVAL, 0 },
        { "true", -EINVAL, 0 },
        { "[1]", -EINVAL, 0 },
        { "null", -ENOENT, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        AUTO_FREE char *text = mem_printf("{\"n\":%s}", samples[i].text);
        CLEANUP_PTR(json_free) struct json *root = parsed(text);
        bool is_negative = samples[i].n < 0;
        int64_t n = 77;
        uint64_t u = 77;

        if (json_get_i64(root, "n", &n) != samples[i].r)
            fail_msg("%s", text);
        assert_true(n == (samples[i].r == 0 ? samples[i].n : 77));
        assert_int_equal(json_get_u64(root, "n", &u), is_negative ? -EINVAL : samples[i].r);
        assert_true(u == (samples[i].r == 0 && !is_negative ? (uint64_t)samples[i].n : 77));
    }
}

static void booleans_are_nothing_else(void **state)
{
    CLEANUP_PTR(json_free)
    struct json *root = parsed("{\"t\":true,\"f\":false,\"n\":null,\"o\":1}");
    bool b = false;

    (void)state;
    assert_int_equal(json_get_bool(root, "t", &b), 0);
    assert_true(b);
    assert_int_equal(json_get_bool(root, "f", &b), 0);
    assert_false(b);
    assert_int_equal(json_get_bool(root, "n", &b), -ENOENT);
    assert_int_equal(json_get_bool(root, "x", &b), -ENOENT);
    assert_int_equal(json_get_bool(root, "o", &b), -EINVAL);
}

static void iteration_goes_in_order_with_keys(void **state)
{
    CLEANUP_PTR(json_free) struct json *root = parsed("{\"x\":1,\"y\":[2,3,4]}");
    const struct json *x = json_first(root), *y = json_next(x);

    (void)state;
    assert_string_equal(json_key(x), "x");
    assert_string_equal(json_key(y), "y");
    assert_null(json_next(y));
    assert_null(json_next(root));
    assert_int_equal(json_len(y), 3);
    assert_null(json_key(json_first(y)));
}

static void what_is_built_prints_and_parses_back(void **state)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();
    CLEANUP_PTR(json_free) struct json *copy = NULL, *back = NULL;
    struct json *list = json_array();
    AUTO_FREE char *text = NULL, *copied = NULL, *pretty = NULL;
    int64_t n = 0;

    (void)state;
    json_add_str(root, "s", "q\"\\\n\x01\xc3\xa4/");
    json_add_str(root, "none", NULL);
    json_add_i64(root, "n", -9007199254740991);
    json_add_i64(root, "ms", 1776019512345);
    json_add_bool(root, "b", true);
    json_add_null(root, "z");
    json_push_str(list, "one");
    json_push_str(list, NULL);
    json_push(list, NULL);
    json_push(list, json_object());
    json_add(root, "list", list);
    json_add(root, "nothing", NULL);
    text = json_print(root);
    assert_string_equal(text, "{\"s\":\"q\\\"\\\\\\n\\u0001\xc3\xa4/\",\"none\":null,"
                              "\"n\":-9007199254740991,\"ms\":1776019512345,\"b\":true,\"z\":null,"
                              "\"list\":[\"one\",null,null,{}],\"nothing\":null}");
    copy = json_copy(root);
    copied = json_print(copy);
    assert_string_equal(copied, text);
    pretty = json_print_pretty(root);
    assert_non_null(strchr(pretty, '\n'));
    back = parsed(pretty);
    assert_int_equal(json_get_i64(back, "n", &n), 0);
    assert_true(n == -9007199254740991);
    assert_string_equal(json_get_str(back, "s"), "q\"\\\n\x01\xc3\xa4/");
}

static void round_numbers_survive_printing(void **state)
{
    static const int64_t numbers[] = { 1000000000000000, 1776019512000000, 9007199254740991, 1, -1,
                                       -1000000000000000 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        CLEANUP_PTR(json_free) struct json *root = json_object(), *back = NULL;
        AUTO_FREE char *text = NULL, *want = mem_printf("{\"n\":%lld}", (long long)numbers[i]);
        int64_t n = 0;

        json_add_i64(root, "n", numbers[i]);
        text = json_print(root);
        assert_string_equal(text, want); /* and not 1e+15, which strict readers refuse */
        back = parsed(text);
        assert_int_equal(json_get_i64(back, "n", &n), 0);
        assert_true(n == numbers[i]);
    }
}

static void large_numbers_keep_their_digits_on_the_way_through(void **state)
{
    static const char text[] = "{\"a\":[1776019512345678,-9007199254740991,1000000000000001],"
                               "\"b\":{\"c\":1000000000000000},\"d\":123456789012345}";
    CLEANUP_PTR(json_free)
    struct json *root = parsed(text), *copy = json_copy(root), *e = NULL, *f = NULL;
    AUTO_FREE char *printed = json_print(copy), *shorter = NULL, *fraction = NULL;
    int64_t n = 0;

    (void)state;
    assert_string_equal(printed, text);
    assert_int_equal(json_get_i64(json_get(copy, "b"), "c", &n), 0);
    assert_true(n == 1000000000000000);
    e = parsed("[1E15,1e+3]");
    shorter = json_print(e);
    assert_string_equal(shorter, "[1000000000000000,1000]");
    f = parsed("[0.1234567890123456,9007199254740992,1e300,0.1,1e999]");
    fraction = json_print(f);
    assert_string_equal(fraction, "[0.1234567890123456,9007199254740992,1e+300,0.1,null]");
}

static void a_string_that_is_no_utf8_does_not_spoil_the_document(void **state)
{
    CLEANUP_PTR(json_free) struct json *root = json_object(), *back = NULL;
    AUTO_FREE char *text = NULL;

    (void)state;
    json_add_str(root, "s", "a\xff\xc3");
    text = json_print(root);
    back = parsed(text);
    assert_string_equal(json_get_str(back, "s"), "a\xef\xbf\xbd\xef\xbf\xbd");
}

static void what_a_program_prints_is_read_lightly(void **state)
{
    static const char text[] =
        "{\"a\":\"x\\u0000y\",\"b\":\"\\\\u0000\",\"c\":[1,2,3],\"d\":\"[,{\\\"\"}";
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(json_parse(text, sizeof text - 1, &root, &err), -EBADMSG); /* the NUL */
    assert_int_equal(json_parse_light(text, sizeof text - 1, 9, &root, &err), 0);
    assert_string_equal(json_get_str(root, "a"), "x\xef\xbf\xbdy");
    assert_string_equal(json_get_str(root, "b"), "\\u0000"); /* a backslash, and no escape */
    assert_string_equal(json_get_str(root, "d"), "[,{\"");
    json_free(root);
    root = NULL;
    assert_int_equal(json_parse_light(text, sizeof text - 1, 7, &root, &err), -EMSGSIZE);
    assert_non_null(strstr(err.text, "at most 7"));
    assert_int_equal(json_parse_light("{\"a\":\"\\", 7, 9, &root, &err), -EBADMSG);
    assert_null(root);
}

static void a_double_is_any_finite_number(void **state)
{
    static const char text[] = "{\"a\":0.25,\"b\":-7,\"c\":\"1\",\"d\":null,"
                               "\"f\":0.00014000000000000001}";
    CLEANUP_PTR(json_free) struct json *root = NULL;
    double d = 9;

    (void)state;
    assert_int_equal(json_parse(text, sizeof text - 1, &root, NULL), 0);
    assert_int_equal(json_get_double(root, "c", &d), -EINVAL);
    assert_int_equal(json_get_double(root, "d", &d), -ENOENT);
    assert_int_equal(json_get_double(root, "x", &d), -ENOENT);
    assert_true(d == 9);
    assert_int_equal(json_get_double(root, "a", &d), 0);
    assert_true(d == 0.25);
    assert_int_equal(json_get_double(root, "b", &d), 0);
    assert_true(d == -7);
    assert_int_equal(json_get_double(root, "f", &d), 0);
    assert_true(d == 0.00014000000000000001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_can_be_the_root),
        cmocka_unit_test(what_rfc_8259_does_not_know_is_refused_with_its_byte),
        cmocka_unit_test(no_cut_of_a_document_is_taken_for_the_whole),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(half_a_surrogate_pair_becomes_a_replacement),
        cmocka_unit_test(members_are_found_by_their_exact_key_and_the_first_counts),
        cmocka_unit_test(nothing_is_found_in_what_is_no_object),
        cmocka_unit_test(integers_are_exact_or_refused),
        cmocka_unit_test(booleans_are_nothing_else),
        cmocka_unit_test(iteration_goes_in_order_with_keys),
        cmocka_unit_test(what_is_built_prints_and_parses_back),
        cmocka_unit_test(round_numbers_survive_printing),
        cmocka_unit_test(large_numbers_keep_their_digits_on_the_way_through),
        cmocka_unit_test(a_string_that_is_no_utf8_does_not_spoil_the_document),
        cmocka_unit_test(what_a_program_prints_is_read_lightly),
        cmocka_unit_test(a_double_is_any_finite_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
