#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mask.h"
#include "util/mem.h"

static const char secret[] = "s3cr3t/k\xc3\xa4y+\"<&> \\\n!~";

static struct mask *mask_of(const char *value)
{
    struct mask *m = mask_new();

    assert_int_equal(mask_add(m, value, strlen(value)), 0);
    return m;
}

static void expect(const struct mask *m, const char *text, size_t hits, const char *want)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    buf_append_str(&b, text);
    if (mask_apply(m, &b) != hits || strcmp(buf_str(&b), want) != 0)
        fail_msg("'%s' became '%s', not '%s'", text, buf_str(&b), want);
    assert_int_equal(b.len, strlen(want));
}

static void a_value_is_replaced_wherever_it_stands(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_of("hunter2hunter2x");

    (void)state;
    expect(m, "", 0, "");
    expect(m, "hunter2", 0, "hunter2");
    expect(m, "hunter2hunter2", 0, "hunter2hunter2");
    expect(m, "hunter2hunter2x", 1, "[secret]");
    expect(m, "<hunter2hunter2x>", 1, "<[secret]>");
    expect(m, "hunter2hunter2xhunter2hunter2x", 1 + 1, "[secret][secret]");
    expect(m, "hunter2hunter2hunter2x", 1, "hunter2[secret]");
    expect(m, "Hunter2hunter2x", 0, "Hunter2hunter2x");
}

static void the_beginning_of_a_value_counts_where_the_text_was_cut(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_of("hunter2hunter2x");
    AUTO_FREE char *cut = mask_text_cut(m, mem_strdup("<hunter2hunter2x> and hunter2h"));
    AUTO_FREE char *short_cut = mask_text_cut(m, mem_strdup("and hunter2"));
    AUTO_FREE char *other = mask_text_cut(m, mem_strdup("hunter2hunter3"));
    AUTO_FREE char *whole = mask_text(m, mem_strdup("and hunter2hunter2"));

    (void)state;
    assert_string_equal(cut, "<[secret]> and [secret]");
    assert_string_equal(short_cut, "and hunter2"); /* fewer than 8 bytes */
    assert_string_equal(other, "hunter2hunter3");
    assert_string_equal(whole, "and hunter2hunter2");
}

static void a_value_that_is_dropped_is_masked_as_long_as_another_wants_it(void **state)
{
    static const char first[] = "prefix-and-the-first", second[] = "prefix-and-the-second";
    struct mask *m = mask_new();

    (void)state;
    assert_int_equal(mask_add(m, first, strlen(first)), 0);
    assert_int_equal(mask_add(m, first, strlen(first)), 0);
    assert_int_equal(mask_add(m, second, strlen(second)), 0);
    mask_drop(m, first, strlen(first));
    expect(m, "prefix-and-the-first", 1, "[secret]");
    mask_drop(m, first, strlen(first));
    expect(m, "prefix-and-the-first", 0, "prefix-and-the-first");
    /* in hex, of which both begin with the same */
    expect(m, "7072656669782d616e642d7468652d7365636f6e64", 1, "[secret]");
    expect(m, "prefix-and-the-second", 1, "[secret]");
    mask_drop(m, first, strlen(first)); /* one that isn't there */
    expect(m, "prefix-and-the-second", 1, "[secret]");
    mask_free(m);
}

static void without_a_mask_nothing_happens(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *empty = mask_new();
    CLEANUP(buf_done) struct buf nothing = { 0 };

    (void)state;
    expect(NULL, "some text", 0, "some text");
    expect(empty, "some text", 0, "some text");
    assert_int_equal(mask_apply(empty, &nothing), 0);
    assert_null(nothing.data);
    mask_free(NULL);
}

static void short_values_are_refused(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_new();

    (void)state;
    assert_int_equal(mask_add(m, "", 0), -EINVAL);
    assert_int_equal(mask_add(m, "1234567", 7), -EINVAL);
    expect(m, "1234567 MTIzNDU2Nw==", 0, "1234567 MTIzNDU2Nw==");
    assert_int_equal(mask_add(m, "12345678", 8), 0);
    assert_int_equal(mask_add(m, "12345678", 8), 0); /* once more is no harm */
    expect(m, "1234567 12345678", 1, "1234567 [secret]");
}

static void bytes_of_any_kind_are_found(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_new();
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    assert_int_equal(mask_add(m, "\0\0\0\0\xff\xfe\0\n\0", 9), 0);
    buf_append(&b, "a\0\0\0\0\xff\xfe\0\n\0z", 11);
    assert_int_equal(mask_apply(m, &b), 1);
    assert_memory_equal(b.data, "a[secret]z", 11);
}

/* No four digits of the value's encoding are left, between any neighbours. */
static void expect_no_base64(const struct mask *m, const char *value, size_t len, size_t before,
                             size_t after, int variant)
{
    CLEANUP(buf_done) struct buf in = { 0 }, out = { 0 };
    AUTO_FREE char *whole = NULL;
    size_t size;

    for (size_t i = 0; i < before; i++)
        buf_append_char(&in, (char)('A' + i * 7));
    buf_append(&in, value, len);
    for (size_t i = 0; i < after; i++)
        buf_append_char(&in, (char)('q' + i * 5));
    size = sodium_base64_encoded_len(in.len, variant);
    whole = mem_alloc(size);
    (void)sodium_bin2base64(whole, size, (const unsigned char *)in.data, in.len, variant);
    buf_append_str(&out, whole);
    assert_int_equal(mask_apply(m, &out), 1);
    /* what is left: the neighbours' digits and at most one shared with each of them */
    if (out.len > strlen("[secret]") + (before * 4 + 2) / 3 + 1 + (after * 4 + 2) / 3 + 1 + 2)
        fail_msg("%s became %s", whole, out.data);
}

static void base64_is_found_at_every_offset(void **state)
{
    static const int variants[] = { sodium_base64_VARIANT_ORIGINAL,
                                    sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
                                    sodium_base64_VARIANT_URLSAFE,
                                    sodium_base64_VARIANT_URLSAFE_NO_PADDING };
    static const char value[] = "\xfb\xff\xbf?>~i\xb7\x1d\x01k"; /* needs + and / in many places */

    (void)state;
    for (size_t len = MASK_MIN; len <= strlen(value); len++) {
        CLEANUP_PTR(mask_free) struct mask *m = mask_new();

        assert_int_equal(mask_add(m, value, len), 0);
        for (size_t v = 0; v < ARRAY_SIZE(variants); v++)
            for (size_t before = 0; before < 7; before++)
                for (size_t after = 0; after < 4; after++)
                    expect_no_base64(m, value, len, before, after, variants[v]);
    }
}

static void base64_of_the_value_alone_leaves_no_digit(void **state)
{
    CLEANUP_PTR(mask_free)
    struct mask *m = mask_of("password1"), *two = mask_of("password12"),
                *three = mask_of("password123");

    (void)state;
    expect(m, "x=cGFzc3dvcmQx;", 1, "x=[secret];");
    expect(two, "x=cGFzc3dvcmQxMg==;", 1, "x=[secret];");
    expect(two, "x=cGFzc3dvcmQxMg;", 1, "x=[secret];");
    expect(three, "x=cGFzc3dvcmQxMjM=;", 1, "x=[secret];");
    expect(three, "x=cGFzc3dvcmQxMjM;", 1, "x=[secret];");
}

static void base64_broken_into_lines_is_found(void **state)
{
    static const size_t widths[] = { 64, 76 };
    char value[201], encoded[300];
    CLEANUP_PTR(mask_free) struct mask *m = NULL;

    (void)state;
    for (size_t i = 0; i < 200; i++)
        value[i] = (char)('!' + i * 31 % 90);
    value[200] = '\0';
    m = mask_of(value);
    (void)sodium_bin2base64(encoded, sizeof encoded, (const unsigned char *)value, 200,
                            sodium_base64_VARIANT_ORIGINAL);
    for (size_t w = 0; w < ARRAY_SIZE(widths); w++)
        for (size_t i = 0; i < strlen(encoded); i += widths[w]) {
            AUTO_FREE char *line = mem_strndup(encoded + i, widths[w]);

            if (strlen(line) >= 16)
                expect(m, line, 1, "[secret]");
        }
}

static void hex_is_found_in_both_cases(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_of("jklmnopz");

    (void)state;
    expect(m, "6a6b6c6d6e6f707a", 1, "[secret]");
    expect(m, "0x6A6B6C6D6E6F707A.", 1, "0x[secret].");
    expect(m, "6a6b6c6d6e6f707b", 0, "6a6b6c6d6e6f707b");
}

static void hex_is_found_in_the_forms_of_dumps(void **state)
{
    static const char *const forms[] = {
        "6a 6b 6c 6d 6e 6f 70 7a",                           /* od -An -tx1 */
        "6a6b 6c6d 6e6f 707a",                               /* xxd */
        "6b6a 6d6c 6f6e 7a70",                               /* od -x, hexdump */
        "6A:6B:6C:6D:6E:6F:70:7A",                           /* openssl */
        "6a-6b-6c-6d-6e-6f-70-7a",                           /* */
        "0x6a, 0x6b, 0x6c, 0x6d,\n  0x6e, 0x6f, 0x70, 0x7a", /* xxd -i */
        "\\x6a\\x6b\\x6c\\x6d\\x6e\\x6f\\x70\\x7a",          /* a string of C, Python's bytes */
        "%6a%6b%6c%6d%6e%6f%70%7a",    /* an address with every byte encoded */
        "6a 6b 6c 6d 6e\n 6f 70 7a\n", /* over the end of a line */
    };
    CLEANUP_PTR(mask_free) struct mask *m = mask_of("jklmnopz");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };

        buf_printf(&b, "<%s>", forms[i]);
        assert_int_equal(mask_apply(m, &b), 1);
        if (strpbrk(buf_str(&b), "67"))
            fail_msg("%s", buf_str(&b));
    }
    expect(m, "6a 6b 6c 6d 6e 6f 70", 0, "6a 6b 6c 6d 6e 6f 70");
    expect(m, "6a 6b 6c 6d z 6e 6f 70 7a", 0, "6a 6b 6c 6d z 6e 6f 70 7a");
    expect(m, "6a6b6c6d                 6e6f707a", 0, "6a6b6c6d                 6e6f707a");
    expect(m, "a bad cafe 6a6b6c6d6e6f707a facade", 1, "a bad cafe [secret] facade");
}

/* Between the lines of a dump with addresses stand digits that are none of the value's. */
static void a_dump_with_addresses_shows_little_of_a_value(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_of("nairid_abcdefghijklmnopqrstu");

    (void)state;
    expect(m,
           "0000000 4b 3d 6e 61 69 72 69 64 5f 61 62 63 64 65 66 67\n"
           "0000020 68 69 6a 6b 6c 6d 6e 6f 70 71 72 73 74 75 0a\n",
           2, "0000000 4b 3d [secret]\n0000020 [secret] 0a\n");
    /* beside what is found as it stands, and where both overlap */
    assert_int_equal(mask_add(m, "6e6169726964", 12), 0);
    expect(m, "6e61697269645f61 nairid_abcdefghijklmnopqrstu", 2, "[secret] [secret]");
    expect(m, "1 6e6169726964 2", 1, "1 [secret] 2");
}

static void much_hex_takes_little_time(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_of("jklmnopz");
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(mask_add(m, "jklmnopz-and-more", 17), 0); /* kept once */
    for (int i = 0; i < 200000; i++)
        buf_append_str(&b, i % 10 == 0 ? "6a 6b 6c 6d 6e 6f 70 7a " : "6a 6b 6c 6d 6e 6f ");
    assert_int_equal(mask_apply(m, &b), 20000);
    assert_null(strstr(buf_str(&b), "7a"));
}

static void percent_encodings_are_found(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_of("a b/c?d=(e)&\xc3\xa4:x*~");

    (void)state;
    expect(m, "k=a%20b%2Fc%3Fd%3D%28e%29%26%C3%A4%3Ax%2A~&", 1, "k=[secret]&"); /* strict */
    expect(m, "k=a%20b%2fc%3fd%3d%28e%29%26%c3%a4%3ax%2a~&", 1, "k=[secret]&");
    expect(m, "a%20b%2Fc%3Fd%3D(e)%26%C3%A4%3Ax*~", 1, "[secret]");     /* encodeURIComponent() */
    expect(m, "a%20b/c?d=(e)&%C3%A4:x*~", 1, "[secret]");               /* encodeURI() */
    expect(m, "a+b%2Fc%3Fd%3D%28e%29%26%C3%A4%3Ax*%7E", 1, "[secret]"); /* a form */
    expect(m, "a+b%2Fc%3Fd%3D%28e%29%26%C3%A4%3Ax%2A~", 1, "[secret]"); /* Python's quote_plus() */
}

static void json_escapes_are_found(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_of(secret);

    (void)state;
    expect(m, secret, 1, "[secret]");
    expect(m, "\"s3cr3t/k\xc3\xa4y+\\\"<&> \\\\\\n!~\"", 1, "\"[secret]\"");
    expect(m, "s3cr3t\\/k\xc3\xa4y+\\\"<&> \\\\\\n!~", 1, "[secret]");
    expect(m, "s3cr3t/k\xc3\xa4y+\\\"\\u003c\\u0026\\u003e \\\\\\n!~", 1, "[secret]");
    expect(m, "s3cr3t/k\\u00e4y+\\\"<&> \\\\\\n!~", 1, "[secret]");
    expect(m, "s3cr3t/k\\u00E4y+\\\"<&> \\\\\\n!~", 1, "[secret]");
    expect(m, "s3cr3t\\/k\\u00e4y+\\\"<&> \\\\\\n!~", 1, "[secret]");          /* PHP */
    expect(m, "s3cr3t/k\xc3\xa4y+\\\\\\\"<&> \\\\\\\\\\\\n!~", 1, "[secret]"); /* JSON in JSON */
}

static void characters_beyond_the_first_plane_are_escaped_in_pairs(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_of("pass\xf0\x9f\x98\x80\xe2\x82\xac\x01word");

    (void)state;
    expect(m, "pass\\ud83d\\ude00\\u20ac\\u0001word", 1, "[secret]");
    expect(m, "pass\xf0\x9f\x98\x80\xe2\x82\xac\\u0001word", 1, "[secret]");
    assert_int_equal(mask_add(m, "delete\x7f!", 8), 0);
    expect(m, "delete\\u007f!", 1, "[secret]");
}

static void lines_of_a_key_are_found_alone_but_not_its_frame(void **state)
{
    CLEANUP_PTR(mask_free)
    struct mask *m = mask_of("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\r\n"
                             "AQEFAASCBKcwggSjAgEAAoIB\nshort\n-----END PRIVATE KEY-----");

    (void)state;
    expect(m, "MIIEvQIBADANBgkqhkiG9w0B", 1, "[secret]");
    expect(m, "x AQEFAASCBKcwggSjAgEAAoIB", 1, "x [secret]");
    expect(m, "-----BEGIN PRIVATE KEY-----", 0, "-----BEGIN PRIVATE KEY-----");
    expect(m, "short", 0, "short");
}

static void values_that_overlap_are_masked_together(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_new();

    (void)state;
    assert_int_equal(mask_add(m, "aaaabbbbcccc", 12), 0);
    assert_int_equal(mask_add(m, "ccccddddeeee", 12), 0);
    assert_int_equal(mask_add(m, "bbbbcccc", 8), 0);
    expect(m, "aaaabbbbccccddddeeee", 1, "[secret]");
    expect(m, "<bbbbccccddddeeee>", 1, "<[secret]>");
    expect(m, "<bbbbccccdddd>", 1, "<[secret]dddd>");
    /* the longer of two that begin alike */
    assert_int_equal(mask_add(m, "aaaabbbb", 8), 0);
    expect(m, "aaaabbbbcccc!", 1, "[secret]!");
    expect(m, "aaaabbbb!", 1, "[secret]!");
}

static void much_text_and_many_values_take_little_time(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_new();
    CLEANUP(buf_done) struct buf b = { 0 };
    char value[32];

    (void)state;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(value, sizeof value, "sk-ant-api03-%08d", i);
        assert_int_equal(mask_add(m, value, strlen(value)), 0);
    }
    for (int i = 0; i < 100000; i++) /* beginnings of values, over and over */
        buf_append_str(&b, i % 10 == 0 ? "sk-ant-api03-00000007" : "sk-ant-api03-");
    assert_int_equal(mask_apply(m, &b), 10000);
    assert_null(strstr(buf_str(&b), "00000007"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_replaced_wherever_it_stands),
        cmocka_unit_test(the_beginning_of_a_value_counts_where_the_text_was_cut),
        cmocka_unit_test(a_value_that_is_dropped_is_masked_as_long_as_another_wants_it),
        cmocka_unit_test(without_a_mask_nothing_happens),
        cmocka_unit_test(short_values_are_refused),
        cmocka_unit_test(bytes_of_any_kind_are_found),
        cmocka_unit_test(base64_is_found_at_every_offset),
        cmocka_unit_test(base64_of_the_value_alone_leaves_no_digit),
        cmocka_unit_test(base64_broken_into_lines_is_found),
        cmocka_unit_test(hex_is_found_in_both_cases),
        cmocka_unit_test(hex_is_found_in_the_forms_of_dumps),
        cmocka_unit_test(a_dump_with_addresses_shows_little_of_a_value),
        cmocka_unit_test(much_hex_takes_little_time),
        cmocka_unit_test(percent_encodings_are_found),
        cmocka_unit_test(json_escapes_are_found),
        cmocka_unit_test(characters_beyond_the_first_plane_are_escaped_in_pairs),
        cmocka_unit_test(lines_of_a_key_are_found_alone_but_not_its_frame),
        cmocka_unit_test(values_that_overlap_are_masked_together),
        cmocka_unit_test(much_text_and_many_values_take_little_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
