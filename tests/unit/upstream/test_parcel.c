#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "upstream/parcel.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

struct got {
    struct buf file;
    int answer; /* of what takes it */
    char id[PARCEL_ID_MAX + 1];
    struct err err;
};

static int take(const void *bytes, size_t len, void *ctx)
{
    struct got *got = ctx;

    buf_append(&got->file, bytes, len);
    return got->answer;
}

static int read_answer(const char *s, size_t piece, uint64_t max, struct got *got)
{
    size_t len = strlen(s);
    struct parcel p;
    int r = 0;

    buf_clear(&got->file);
    got->err = (struct err){ 0 };
    parcel_init(&p, max, take, got);
    for (size_t at = 0; at < len && r == 0; at += piece)
        r = parcel_feed(&p, s + at, len - at < piece ? len - at : piece, &got->err);
    memcpy(got->id, p.id, sizeof got->id);
    return r < 0 ? r : parcel_end(&p, &got->err);
}

static void a_file_is_found_wherever_it_stands(void **state)
{
    static const char *const answers[] = {
        "{\"id\":\"att_1\",\"data\":\"Zm9vYmFy\"}",
        "{\"data\":\"Zm9vYmFy\",\"id\":\"att_1\"}",
        " {\r\n\t\"id\" : \"att_1\" , \"data\" : \"Zm9vYmFy\" } \n",
        "{\"i\\u0064\":\"att\\u005f1\",\"d\\u0061ta\":\"Zm\\u0039vYmFy\"}",
        ("{\"a\":{\"data\":\"x\",\"id\":[\"y\",{\"data\":1}]},\"id\":\"att_1\",\"n\":-1.5e3,"
         "\"data\":\"Zm9vYmFy\",\"t\":true,\"e\":[],\"o\":{},\"z\":null,\"s\":"
         "\"\\\"\\\\\\u20ac\"}"),
    };
    struct got got = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
        for (size_t piece = 1; piece <= 40; piece++) {
            if (read_answer(answers[i], piece, 6, &got) != 0)
                fail_msg("answer %zu in pieces of %zu: %s", i, piece, got.err.text);
            assert_string_equal(buf_str(&got.file), "foobar");
            assert_string_equal(got.id, "att_1");
        }
    buf_done(&got.file);
}

static void escapes_in_the_contents_are_read(void **state)
{
    struct got got = { 0 };

    (void)state;
    for (size_t piece = 1; piece <= 20; piece++) {
        assert_int_equal(read_answer("{\"data\":\"\\/\\/\\u002b\\u002F\"}", piece, 6, &got), 0);
        assert_int_equal(got.file.len, 3);
        assert_memory_equal(got.file.data, "\xff\xff\xbf", 3);
    }
    buf_done(&got.file);
}

static void what_is_wrong_has_its_number_and_a_sentence(void **state)
{
    static const struct {
        const char *answer;
        int want;
    } cases[] = {
        { "", -EBADMSG },
        { "<html>", -EBADMSG },
        { "[]", -EBADMSG },
        { "\"data\"", -EBADMSG },
        { "{\"data\":\"Zm9v", -EBADMSG },
        { "{\"data\":\"Zm9v\"", -EBADMSG },
        { "{\"data\":\"Zm9v\"}}", -EBADMSG },
        { "{\"data\":\"Zm9v\"]", -EBADMSG },
        { "{\"data\":\"Zm9v\",}", -EBADMSG },
        { "{\"data\" \"Zm9v\"}", -EBADMSG },
        { "{\"data\":\"Zm9v\",\"data\":\"Zm9v\"}", -EBADMSG },
        { "{\"a\":tru,\"data\":\"Zm9v\"}", -EBADMSG },
        { "{\"a\":--1,\"data\":\"Zm9v\"}", -EBADMSG },
        { "{\"a\":\"\\x\",\"data\":\"Zm9v\"}", -EBADMSG },
        { "{\"a\":\"\\u00g0\",\"data\":\"Zm9v\"}", -EBADMSG },
        { "{\"a\":\"\n\",\"data\":\"Zm9v\"}", -EBADMSG },
        { "{a:1}", -EBADMSG },
        { "{\"data\":\"Zm9\"}", -EILSEQ },
        { "{\"data\":\"Zm9v!\"}", -EILSEQ },
        { "{\"data\":\"Zm9v\\nYmFy\"}", -EILSEQ },
        { "{\"data\":\"Zm9v\\u20ac\"}", -EILSEQ },
        { "{\"data\":\"Zm9vYmFyMQ==\"}", -EFBIG },
        { "{}", -ENODATA },
        { "{\"data\":\"\"}", -ENODATA },
        { "{\"data\":null}", -ENODATA },
        { "{\"data\":[\"Zm9v\"]}", -ENODATA },
        { "{\"error\":\"x\"}", -ENODATA },
    };
    struct got got = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t piece = 1; piece <= 40; piece++) {
            int r = read_answer(cases[i].answer, piece, 6, &got);

            if (r != cases[i].want || got.err.code != r)
                fail_msg("case %zu in pieces of %zu gives %d", i, piece, r);
            assert_true(got.file.len <= 6);
        }
    buf_done(&got.file);
}

static void what_is_too_deep_or_too_long_is_refused_or_passed_over(void **state)
{
    struct got got = { 0 };
    struct buf answer = { 0 };

    (void)state;
    buf_append_str(&answer, "{\"a\":");
    for (int i = 0; i < 63; i++)
        buf_append_char(&answer, '[');
    for (int i = 0; i < 63; i++)
        buf_append_char(&answer, ']');
    buf_append_str(&answer, ",\"data\":\"Zm9v\"}");
    assert_int_equal(read_answer(buf_str(&answer), 7, 6, &got), 0);
    buf_clear(&answer);
    buf_append_str(&answer, "{\"a\":");
    for (int i = 0; i < 64; i++)
        buf_append_char(&answer, '[');
    assert_int_equal(read_answer(buf_str(&answer), 7, 6, &got), -EBADMSG);
    buf_clear(&answer);
    buf_append_str(&answer, "{\"");
    for (int i = 0; i < 1000; i++)
        buf_append_char(&answer, 'k');
    buf_append_str(&answer, "\":1,\"id\":\"");
    for (int i = 0; i < 1000; i++)
        buf_append_char(&answer, 'i');
    buf_append_str(&answer, "\",\"data\":\"Zm9v\"}");
    assert_int_equal(read_answer(buf_str(&answer), 7, 6, &got), 0);
    assert_string_equal(got.id, "?"); /* which none is */
    buf_done(&answer);
    buf_done(&got.file);
}

static void who_takes_the_file_may_end_it(void **state)
{
    struct got got = { .answer = -ENOSPC };

    (void)state;
    assert_int_equal(read_answer("{\"data\":\"Zm9v\"}", 5, 6, &got), -ENOSPC);
    buf_done(&got.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_found_wherever_it_stands),
        cmocka_unit_test(escapes_in_the_contents_are_read),
        cmocka_unit_test(what_is_wrong_has_its_number_and_a_sentence),
        cmocka_unit_test(what_is_too_deep_or_too_long_is_refused_or_passed_over),
        cmocka_unit_test(who_takes_the_file_may_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
