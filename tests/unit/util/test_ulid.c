#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/ulid.h"

static const uint8_t zeros[10],
    ones[10] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void time_and_entropy_have_their_digits(void **state)
{
    static const uint8_t counting[10] = {
        0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf
    };
    char id[ULID_ID_MAX];

    (void)state;
    assert_ptr_equal(ulid_make(id, "msg", 0, zeros), id);
    assert_string_equal(id, "msg_00000000000000000000000000");
    assert_string_equal(ulid_make(id, "job", 1469918176385, ones),
                        "job_01ARYZ6S41ZZZZZZZZZZZZZZZZ"); /* the time of the specification */
    /* 0, 1, 2 ... 15 by fives */
    assert_string_equal(ulid_make(id, "x", 1, counting), "x_00000000010123456789ABCDEF");
}

static void times_out_of_range_take_the_nearest(void **state)
{
    char id[ULID_ID_MAX];

    (void)state;
    assert_string_equal(ulid_make(id, "a", -1, zeros), "a_00000000000000000000000000");
    assert_string_equal(ulid_make(id, "a", (INT64_C(1) << 48) - 1, ones),
                        "a_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    assert_string_equal(ulid_make(id, "a", INT64_MAX, ones), "a_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
}

static void ids_sort_by_time(void **state)
{
    char before[ULID_ID_MAX], after[ULID_ID_MAX];

    (void)state;
    for (int shift = 0; shift < 47; shift++) {
        (void)ulid_make(before, "m", (INT64_C(1) << shift) - 1, ones);
        (void)ulid_make(after, "m", INT64_C(1) << shift, zeros);
        assert_true(strcmp(before, after) < 0);
    }
}

static void a_long_prefix_still_fits(void **state)
{
    char id[ULID_ID_MAX];

    (void)state;
    (void)ulid_make(id, "sixteen_letters_", 0, zeros);
    assert_int_equal(strlen(id), 16 + 1 + ULID_LEN);
    (void)ulid_make(id, "seventeen_letters", 0, zeros);
    assert_int_equal(strlen(id), 16 + 1 + ULID_LEN);
    assert_memory_equal(id, "seventeen_letter_0", 18);
}

static void derived_ids_depend_on_purpose_and_source_alone(void **state)
{
    static const char source[] = "msg_01ARYZ6S41ABCDEFGHJKMNPQRS";
    char id[ULID_ID_MAX], again[ULID_ID_MAX], other[ULID_ID_MAX];

    (void)state;
    (void)ulid_derive(id, "cmsg", "reply", source);
    (void)ulid_derive(again, "cmsg", "reply", source);
    assert_string_equal(id, again);
    /* BLAKE2b-256 as computed elsewhere: no version of ours may ever give another id */
    assert_string_equal(id, "cmsg_01ARYZ6S417SCV6YS8EQ4SM6TT");
    assert_true(ulid_has_prefix(id, "cmsg"));
    assert_memory_equal(id + 5, "01ARYZ6S41", 10); /* the source's time */
    assert_string_not_equal(ulid_derive(other, "cmsg", "progress", source), id);
    assert_string_not_equal(ulid_derive(other, "cmsg", "reply", "msg_01ARYZ6S41ABCDEFGHJKMNPQRT"),
                            id);
    /* where purpose ends and source begins matters */
    (void)ulid_derive(id, "p", "ab", "c");
    assert_string_not_equal(ulid_derive(other, "p", "a", "bc"), id);
}

static void sources_without_a_ulid_get_time_zero(void **state)
{
    static const char *const sources[] = { "",
                                           "message-1",
                                           "msg-01ARYZ6S41ABCDEFGHJKMNPQRS",
                                           "msg_01ARYZ6S41ABCDEFGHJKMNPQR",
                                           "msg_01ARYZ6S41ABCDEFGHJKMNPQRU",
                                           "msg_81ARYZ6S41ABCDEFGHJKMNPQRS" };
    char id[ULID_ID_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        (void)ulid_derive(id, "m", "reply", sources[i]);
        assert_memory_equal(id, "m_0000000000", 12);
        assert_true(ulid_has_prefix(id, "m"));
    }
    /* a bare one and one in lower case do have a time, written in capitals */
    assert_memory_equal(ulid_derive(id, "m", "r", "01ARYZ6S41ABCDEFGHJKMNPQRS"), "m_01ARYZ6S41",
                        12);
    assert_memory_equal(ulid_derive(id, "m", "r", "x_01aryz6s41abcdefghjkmnpqrs"), "m_01ARYZ6S41",
                        12);
}

static void only_well_formed_ids_are_valid(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        "01ARYZ6S41ABCDEFGHJKMNPQR",   /* 25 */
        "01ARYZ6S41ABCDEFGHJKMNPQRST", /* 27 */
        "81ARYZ6S41ABCDEFGHJKMNPQRS",  /* past 48 bits of time */
        "01ARYZ6S41ABCDEFGHIKMNPQRS",
        "01ARYZ6S41ABCDEFGHLKMNPQRS",
        "01ARYZ6S41ABCDEFGHOKMNPQRS",
        "01ARYZ6S41ABCDEFGHUKMNPQRS",
        "01ARYZ6S41ABCDEFGHuKMNPQRS",
        "01ARYZ6S41ABCDEFGH-KMNPQRS",
        "01ARYZ6S41ABCDEFGH\xc3\xa4MNPQRS",
        " 1ARYZ6S41ABCDEFGHJKMNPQRS",
    };

    (void)state;
    assert_true(ulid_is_valid("01ARYZ6S41ABCDEFGHJKMNPQRS"));
    assert_true(ulid_is_valid("7zzzzzzzzzzzzzzzzzzzzzzzzz"));
    assert_false(ulid_is_valid(NULL));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(ulid_is_valid(bad[i]));
}

static void the_prefix_must_be_the_whole_of_it(void **state)
{
    (void)state;
    assert_true(ulid_has_prefix("msg_01ARYZ6S41ABCDEFGHJKMNPQRS", "msg"));
    assert_false(ulid_has_prefix("cmsg_01ARYZ6S41ABCDEFGHJKMNPQRS", "msg"));
    assert_false(ulid_has_prefix("msg_01ARYZ6S41ABCDEFGHJKMNPQRS", "ms"));
    assert_false(ulid_has_prefix("msg_01ARYZ6S41ABCDEFGHJKMNPQRS", "msg_"));
    assert_false(ulid_has_prefix("msg01ARYZ6S41ABCDEFGHJKMNPQRS", "msg"));
    assert_false(ulid_has_prefix("01ARYZ6S41ABCDEFGHJKMNPQRS", "msg"));
    assert_false(ulid_has_prefix("msg_", "msg"));
    assert_false(ulid_has_prefix("ms", "msg"));
    assert_false(ulid_has_prefix(NULL, "msg"));
    assert_false(ulid_has_prefix("msg_01ARYZ6S41ABCDEFGHJKMNPQRS/../x", "msg"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_and_entropy_have_their_digits),
        cmocka_unit_test(times_out_of_range_take_the_nearest),
        cmocka_unit_test(ids_sort_by_time),
        cmocka_unit_test(a_long_prefix_still_fits),
        cmocka_unit_test(derived_ids_depend_on_purpose_and_source_alone),
        cmocka_unit_test(sources_without_a_ulid_get_time_zero),
        cmocka_unit_test(only_well_formed_ids_are_valid),
        cmocka_unit_test(the_prefix_must_be_the_whole_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
