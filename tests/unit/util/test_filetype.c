#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/filetype.h"
#include "util/utf8.h"

static const char *extension_of(const char *bytes, size_t len, size_t piece)
{
    struct filetype f = { 0 };

    for (size_t at = 0; at < len; at += piece)
        filetype_feed(&f, bytes + at, len - at < piece ? len - at : piece);
    return filetype_extension(&f);
}

#define CASE(bytes, extension)                                                                     \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, extension                                                        \
    }

static void the_first_bytes_say_what_it_is(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *extension;
    } cases[] = {
        CASE("", ".bin"),
        CASE("\x89PNG\r\n\x1a\n\0\0", ".png"),
        CASE("\x89PNG\r\n\x1a", ".bin"),
        CASE("\xff\xd8\xff\xe0", ".jpg"),
        CASE("GIF87a..", ".gif"),
        CASE("GIF89a..", ".gif"),
        CASE("GIF88a..", ".txt"),
        CASE("%PDF-1.7", ".pdf"),
        CASE("PK\x03\x04\x14", ".zip"),
        CASE("BM\x10", ".bmp"),
        CASE("\0\0\x01\0\x01", ".ico"),
        CASE("\x1f\x8b\x08", ".gz"),
        CASE("Rar!\x1a\x07", ".rar"),
        CASE("7z\xbc\xaf\x27\x1c", ".7z"),
        CASE("BZh9", ".bz2"),
        CASE("RIFF\x10\0\0\0WEBPVP8 ", ".webp"),
        CASE("RIFF\x10\0\0\0WAVEfmt ", ".bin"),
        CASE("RIFF", ".txt"),
        CASE("\xd0\xcf\x11\xe0\xa1", ".doc"),
        CASE("#!/bin/sh\n", ".sh"),
        CASE("<?php echo 1;", ".php"),
        CASE("<?xml version=\"1.0\"?>", ".xml"),
        CASE("plain words\r\n\tand more", ".txt"),
        CASE("\0\0\0\0", ".bin"),
        CASE("caf\xc3\xa9 and a good deal of other words that are plain", ".txt"),
        CASE("caf\xc3", ".bin"),
        CASE("caf\xe9 and a good deal of other words that are plain", ".bin"),
        CASE("\xc3\xa9\xc3\xa9\xc3\xa9", ".bin"), /* UTF-8, but hardly any of it is ASCII */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t piece = 1; piece <= 20; piece++) {
            const char *got = extension_of(cases[i].bytes, cases[i].len, piece);

            if (strcmp(got, cases[i].extension) != 0)
                fail_msg("case %zu in pieces of %zu is %s", i, piece, got);
        }
}

static void a_text_is_read_to_its_end(void **state)
{
    static char text[4096];

    (void)state;
    memset(text, 'a', sizeof text);
    assert_string_equal(extension_of(text, sizeof text, 1000), ".txt");
    text[4000] = '\0'; /* a control character is UTF-8, and past what is looked at */
    assert_string_equal(extension_of(text, sizeof text, 1000), ".txt");
    text[4001] = (char)0xff;
    assert_string_equal(extension_of(text, sizeof text, 1000), ".bin");
    text[4001] = 'a';
    for (size_t i = 0; i < 25; i++) /* 4.9 % */
        text[i * 20] = '\x01';
    assert_string_equal(extension_of(text, sizeof text, 1000), ".txt");
    text[1] = '\x01';
    assert_string_equal(extension_of(text, sizeof text, 1000), ".bin");
}

static void what_is_utf8_is_the_same_as_elsewhere(void **state)
{
    /* every pair of bytes, and each after the beginnings of longer characters */
    static const char *const before[] = { "",     "\xe0",         "\xe1\x80", "\xed",
                                          "\xf0", "\xf1\x80\x80", "\xf4",     "\xf5" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(before); i++)
        for (unsigned n = 0; n < 65536; n++) {
            char bytes[128];
            size_t len = strlen(before[i]);

            memset(bytes, 'x', sizeof bytes);
            memcpy(bytes + 64, before[i], len);
            bytes[64 + len] = (char)(n >> 8);
            bytes[65 + len] = (char)n;
            if ((strcmp(extension_of(bytes, sizeof bytes, 65), ".txt") == 0) !=
                utf8_is_valid(bytes, sizeof bytes))
                fail_msg("%zu, %04x", i, n);
        }
}

static void each_extension_is_named_once(void **state)
{
    size_t count = 0;

    (void)state;
    for (; filetype_nth(count); count++) {
        assert_true(strlen(filetype_nth(count)) < FILETYPE_EXTENSION_MAX);
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(filetype_nth(i), filetype_nth(count));
    }
    assert_int_equal(count, 18);
    assert_null(filetype_nth(count + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_bytes_say_what_it_is),
        cmocka_unit_test(a_text_is_read_to_its_end),
        cmocka_unit_test(what_is_utf8_is_the_same_as_elsewhere),
        cmocka_unit_test(each_extension_is_named_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
