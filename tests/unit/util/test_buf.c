#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"

static void an_empty_one_reads_as_an_empty_string(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE char *stolen = NULL;

    (void)state;
    assert_string_equal(buf_str(&b), "");
    buf_consume(&b, 10);
    buf_clear(&b);
    assert_null(b.data);
    stolen = buf_steal(&b);
    assert_string_equal(stolen, "");
    buf_append(&b, NULL, 0); /* from the first append on there is a NUL */
    assert_string_equal(b.data, "");
}

static void appending_keeps_a_nul_after_the_end(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        buf_append_char(&b, (char)('a' + i % 26));
        assert_int_equal(b.len, i + 1);
        assert_true(b.len < b.cap);
        assert_int_equal(b.data[b.len], '\0');
    }
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    buf_append(&b, "x\0y", 3);
    assert_memory_equal(b.data + 5000, "x\0y", 4);
}

static void printing_appends_and_may_be_long(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    buf_append_str(&b, "n=");
    buf_printf(&b, "%d,%s", -5, "");
    assert_string_equal(buf_str(&b), "n=-5,");
    buf_printf(&b, "%s", "");
    assert_int_equal(b.len, 5);
    buf_printf(&b, "%1000d", 1);
    assert_int_equal(b.len, 1005);
    assert_int_equal(b.data[1004], '1');
    assert_int_equal(b.data[1005], '\0');
}

static void reserved_room_is_zeroed_past_its_end(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    char *room;

    (void)state;
    buf_append_str(&b, "0123456789");
    buf_consume(&b, 9); /* old bytes still lie behind the end */
    room = buf_reserve(&b, 8);
    assert_ptr_equal(room, b.data + 1);
    memcpy(room, "abc", 3);
    b.len += 3;
    assert_string_equal(buf_str(&b), "9abc");
    room = buf_reserve(&b, 100000);
    memset(room, 'z', 100000);
    b.len += 100000;
    assert_int_equal(b.data[b.len], '\0');
    assert_memory_equal(b.data, "9abcz", 5);
}

static void consuming_moves_the_rest_to_the_front(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    buf_append_str(&b, "hello world");
    buf_consume(&b, 0);
    assert_string_equal(buf_str(&b), "hello world");
    buf_consume(&b, 6);
    assert_string_equal(buf_str(&b), "world");
    buf_consume(&b, 6);
    assert_string_equal(buf_str(&b), "");
    buf_append_str(&b, "again");
    buf_consume(&b, SIZE_MAX);
    assert_int_equal(b.len, 0);
}

static void clearing_keeps_the_memory_and_stealing_gives_it_away(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE char *stolen = NULL;
    const char *memory;

    (void)state;
    buf_append_str(&b, "abc");
    memory = b.data;
    buf_clear(&b);
    assert_string_equal(buf_str(&b), "");
    buf_append_str(&b, "d");
    assert_ptr_equal(b.data, memory);
    stolen = buf_steal(&b);
    assert_ptr_equal(stolen, memory);
    assert_string_equal(stolen, "d");
    assert_null(b.data);
    assert_int_equal(b.len + b.cap, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_reads_as_an_empty_string),
        cmocka_unit_test(appending_keeps_a_nul_after_the_end),
        cmocka_unit_test(printing_appends_and_may_be_long),
        cmocka_unit_test(reserved_room_is_zeroed_past_its_end),
        cmocka_unit_test(consuming_moves_the_rest_to_the_front),
        cmocka_unit_test(clearing_keeps_the_memory_and_stealing_gives_it_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
