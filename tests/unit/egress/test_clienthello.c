#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <cmocka.h>

#include "egress/clienthello.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"

/* ---- making one ---- */

static void put(struct buf *b, size_t n, size_t bytes)
{
    while (bytes-- > 0)
        buf_append_char(b, (char)(n >> 8 * bytes));
}

static void put_extension(struct buf *b, size_t type, const void *body, size_t len)
{
    put(b, type, 2);
    put(b, len, 2);
    buf_append(b, body, len);
}

static void put_name(struct buf *extensions, const char *name, size_t len)
{
    CLEANUP(buf_done) struct buf body = { 0 };

    put(&body, len + 3, 2);
    put(&body, 0, 1);
    put(&body, len, 2);
    buf_append(&body, name, len);
    put_extension(extensions, 0, body.data, body.len);
}

/* The handshake message; extensions NULL: not even an empty list. */
static void make_message(struct buf *b, const struct buf *extensions)
{
    CLEANUP(buf_done) struct buf body = { 0 };

    put(&body, 0x0303, 2);
    for (int i = 0; i < 32; i++)
        put(&body, 0xaa, 1);
    put(&body, 2, 1); /* session id */
    put(&body, 0x1234, 2);
    put(&body, 4, 2); /* cipher suites */
    put(&body, 0x13011302, 4);
    put(&body, 1, 1); /* compression */
    put(&body, 0, 1);
    if (extensions) {
        put(&body, extensions->len, 2);
        buf_append(&body, buf_str(extensions), extensions->len);
    }
    put(b, 1, 1);
    put(b, body.len, 3);
    buf_append(b, body.data, body.len);
}

static void make_records(struct buf *b, const struct buf *message, size_t piece)
{
    for (size_t at = 0; at < message->len; at += piece) {
        size_t n = message->len - at < piece ? message->len - at : piece;

        put(b, 22, 1);
        put(b, 0x0301, 2);
        put(b, n, 2);
        buf_append(b, message->data + at, n);
    }
}

static enum clienthello_verdict read_with(const struct buf *extensions, struct hostname *name)
{
    CLEANUP(buf_done) struct buf message = { 0 }, records = { 0 };

    make_message(&message, extensions);
    make_records(&records, &message, 16384);
    return clienthello_read(records.data, records.len, name);
}

/* ---- tests ---- */

static void the_name_is_found_behind_other_extensions(void **state)
{
    CLEANUP(buf_done) struct buf extensions = { 0 };
    struct hostname name;

    (void)state;
    put_extension(&extensions, 0x0a0a, "", 0);
    put_extension(&extensions, 43, "\x02\x03\x04", 3);
    put_name(&extensions, "WWW.Example.org", 15);
    put_extension(&extensions, 0xfe0d, "outer", 5);
    assert_int_equal(read_with(&extensions, &name), CLIENTHELLO_NAME);
    assert_string_equal(name.text, "www.example.org");
}

static void it_may_come_in_any_pieces(void **state)
{
    CLEANUP(buf_done) struct buf extensions = { 0 }, message = { 0 };

    (void)state;
    put_name(&extensions, "example.org", 11);
    make_message(&message, &extensions);
    for (size_t piece = 1; piece <= message.len; piece++) {
        CLEANUP(buf_done) struct buf records = { 0 };
        struct hostname name;

        make_records(&records, &message, piece);
        for (size_t len = 0; len < records.len; len += 7)
            assert_int_equal(clienthello_read(records.data, len, &name), CLIENTHELLO_MORE);
        assert_int_equal(clienthello_read(records.data, records.len - 1, &name), CLIENTHELLO_MORE);
        assert_int_equal(clienthello_read(records.data, records.len, &name), CLIENTHELLO_NAME);
        assert_string_equal(name.text, "example.org");
        /* what follows belongs to the rest of the handshake */
        buf_append_str(&records, "\x14\x03\x03");
        assert_int_equal(clienthello_read(records.data, records.len, &name), CLIENTHELLO_NAME);
    }
}

static void without_a_name_it_says_so(void **state)
{
    CLEANUP(buf_done) struct buf extensions = { 0 };
    struct hostname name;

    (void)state;
    assert_int_equal(read_with(NULL, &name), CLIENTHELLO_NO_NAME);
    assert_int_equal(read_with(&extensions, &name), CLIENTHELLO_NO_NAME);
    put_extension(&extensions, 43, "\x02\x03\x04", 3);
    assert_int_equal(read_with(&extensions, &name), CLIENTHELLO_NO_NAME);
}

static void names_that_are_none_or_several_are_refused(void **state)
{
    static const char *const bad[] = { "",           "127.0.0.1",       "[::1]", "a b",
                                       "evil\0.org", "example.org\r\n", "*.org", "2130706433" };
    struct hostname name;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(buf_done) struct buf extensions = { 0 };

        put_name(&extensions, bad[i], i == 4 ? 9 : strlen(bad[i]));
        assert_int_equal(read_with(&extensions, &name), CLIENTHELLO_BAD);
    }
    {
        CLEANUP(buf_done) struct buf twice = { 0 };

        put_name(&twice, "a.org", 5);
        put_name(&twice, "b.org", 5);
        assert_int_equal(read_with(&twice, &name), CLIENTHELLO_BAD);
    }
    {
        CLEANUP(buf_done) struct buf list = { 0 };

        put_extension(&list, 0, "\0\x0c\0\0\3a.b\0\0\3c.d", 14);
        assert_int_equal(read_with(&list, &name), CLIENTHELLO_BAD);
    }
    {
        CLEANUP(buf_done) struct buf other_type = { 0 };

        put_extension(&other_type, 0, "\0\6\1\0\3a.b", 8);
        assert_int_equal(read_with(&other_type, &name), CLIENTHELLO_BAD);
    }
}

static void other_protocols_are_refused_with_the_first_byte(void **state)
{
    static const char *const first[] = { "GET / HTTP/1.1\r\n", "SSH-2.0-x",    "\x15\x03\x01",
                                         "\x16\x02\x00",       "\x80\x2e\x01", "\x17\x03\x03" };
    struct hostname name;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
        size_t len = first[i][0] == 0x16 ? 2 : 1;

        assert_int_equal(clienthello_read(first[i], len, &name), CLIENTHELLO_BAD);
    }
    assert_int_equal(clienthello_read("\x16\x03\x01\0\1\2", 6, &name), CLIENTHELLO_BAD);
    assert_int_equal(clienthello_read("\x16\x03\x01\0\0", 5, &name), CLIENTHELLO_BAD);
    assert_int_equal(clienthello_read("\x16\x03\x01\x40\x01", 5, &name), CLIENTHELLO_BAD);
}

static void lengths_that_do_not_fit_are_refused(void **state)
{
    CLEANUP(buf_done) struct buf extensions = { 0 }, message = { 0 }, records = { 0 };
    struct hostname name;
    size_t spoiled = 0;

    (void)state;
    put_name(&extensions, "example.org", 11);
    make_message(&message, &extensions);
    make_records(&records, &message, 16384);
    for (size_t i = 9; i < records.len; i++) { /* every byte behind the two headers */
        AUTO_FREE char *copy = mem_dup(records.data, records.len);
        enum clienthello_verdict verdict;

        copy[i] = (char)(copy[i] + 1);
        verdict = clienthello_read(copy, records.len, &name);
        assert_int_not_equal(verdict, CLIENTHELLO_MORE);
        spoiled += verdict == CLIENTHELLO_BAD;
    }
    assert_true(spoiled >= 12); /* all length fields, version, type of the name */
}

static void a_message_without_end_is_given_up(void **state)
{
    CLEANUP(buf_done) struct buf message = { 0 }, records = { 0 };
    struct hostname name;

    (void)state;
    put(&message, 0x01007fff, 4);
    for (int i = 0; i < CLIENTHELLO_MAX; i++)
        put(&message, 0, 1);
    make_records(&records, &message, 1);
    assert_int_equal(clienthello_read(records.data, CLIENTHELLO_MAX - 1, &name), CLIENTHELLO_MORE);
    assert_int_equal(clienthello_read(records.data, CLIENTHELLO_MAX, &name), CLIENTHELLO_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_found_behind_other_extensions),
        cmocka_unit_test(it_may_come_in_any_pieces),
        cmocka_unit_test(without_a_name_it_says_so),
        cmocka_unit_test(names_that_are_none_or_several_are_refused),
        cmocka_unit_test(other_protocols_are_refused_with_the_first_byte),
        cmocka_unit_test(lengths_that_do_not_fit_are_refused),
        cmocka_unit_test(a_message_without_end_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
