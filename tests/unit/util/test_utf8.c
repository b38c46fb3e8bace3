#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/utf8.h"

struct sample {
    const char *bytes;
    size_t prefix; /* how many of the first bytes are well-formed */
};

static void wellformedness_follows_table_3_7(void **state)
{
    static const struct sample samples[] = {
        { "", 0 },
        { "plain", 5 },
        { "\x7f", 1 },
        { "\xc2\x80", 2 },
        { "\xdf\xbf", 2 },
        { "\xe0\xa0\x80", 3 },
        { "\xed\x9f\xbf", 3 },
        { "\xee\x80\x80", 3 },
        { "\xef\xbf\xbf", 3 },
        { "\xf0\x90\x80\x80", 4 },
        { "\xf4\x8f\xbf\xbf", 4 },
        { "\xc0\xaf", 0 },          /* overlong */
        { "a\xc1\xbf", 1 },         /* overlong */
        { "\xe0\x9f\xbf", 0 },      /* overlong */
        { "\xf0\x8f\xbf\xbf", 0 },  /* overlong */
        { "\xed\xa0\x80", 0 },      /* a surrogate */
        { "\xf4\x90\x80\x80", 0 },  /* beyond U+10FFFF */
        { "\xf5\x80\x80\x80", 0 },  /* never a lead byte */
        { "ab\xff", 2 },            /* never at all */
        { "\x80", 0 },              /* a continuation alone */
        { "\xc3\xa4\xe2\x82", 2 },  /* cut in a character */
        { "\xf0\x9f\x98", 0 },      /* cut in a character */
        { "\xe2\x28\xa1", 0 },      /* no continuation */
        { "x\xf0\x9f\x98\x80y", 6 } /* whole */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        size_t len = strlen(samples[i].bytes);

        assert_int_equal(utf8_prefix(samples[i].bytes, len), samples[i].prefix);
        assert_int_equal(utf8_is_valid(samples[i].bytes, len), samples[i].prefix == len);
    }
    assert_true(utf8_is_valid("a\0b", 3));
}

static void every_code_point_but_surrogates_is_valid(void **state)
{
    (void)state;
    for (uint32_t c = 0x80; c < 0x110000; c++) {
        unsigned char s[4];
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        uint32_t rest = c;

        for (size_t i = n - 1; i > 0; i--, rest >>= 6)
            s[i] = (unsigned char)(0x80 | (rest & 0x3f));
        s[0] = (unsigned char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | rest);
        if (utf8_is_valid((char *)s, n) != (c < 0xd800 || c > 0xdfff))
            fail_msg("U+%04X", c);
    }
}

static void expect_clean(const char *bytes, size_t len, const char *want)
{
    CLEANUP(buf_done) struct buf b = { 0 }, again = { 0 };

    utf8_clean(&b, bytes, len);
    assert_string_equal(buf_str(&b), want);
    utf8_clean(&again, buf_str(&b), b.len); /* what is clean stays as it is */
    assert_string_equal(buf_str(&again), want);
}

#define CLEAN(in, want) expect_clean(in, sizeof(in) - 1, want)
#define FFFD            "\xef\xbf\xbd"

static void each_maximal_illformed_sequence_becomes_one_replacement(void **state)
{
    (void)state;
    CLEAN("", "");
    CLEAN("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    CLEAN("a\xff"
          "b",
          "a" FFFD "b");
    /* Unicode 15 table 3-8 */
    CLEAN("\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64",
          FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d");
    /* table 3-9 and 3-10: surrogates and overlong forms, a replacement a byte */
    CLEAN("\xed\xa0\x80", FFFD FFFD FFFD);
    CLEAN("\xc0\xaf\xe0\x80\xbf", FFFD FFFD FFFD FFFD FFFD);
    CLEAN("cut \xf0\x9f\x98", "cut " FFFD);
}

static void controls_go_and_line_ends_become_lf(void **state)
{
    (void)state;
    CLEAN("a\r\nb\rc\td\n", "a\nbc\td\n");
    CLEAN("\x00\x01\x08\x0b\x0c\x1f\x7f.", ".");
    CLEAN("a\xc2\x9b"
          "31m\xc2\x85\xc2\xa0",
          "a31m\xc2\xa0"); /* C1 goes, the no-break space stays */
}

static void escape_sequences_are_dropped_whole(void **state)
{
    (void)state;
    CLEAN("\x1b[1;31mred\x1b[0m \x1b[2K\x1b[?25l!", "red !");
    CLEAN("\x1b[38:5:1 qx", "x");          /* parameters, an intermediate, a final */
    CLEAN("\x1b]0;title\x07text", "text"); /* OSC up to BEL */
    CLEAN("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"); /* OSC up to ST */
    CLEAN("\x1bPdevice\x1b\\.\x1b_apc\x07.", "..");
    CLEAN("\x1b(Btext\x1b"
          "7",
          "text");
    CLEAN("end\x1b", "end");
    CLEAN("end\x1b[", "end");
    CLEAN("end\x1b[12", "end");
    CLEAN("\x1b[1\nx", "\nx"); /* broken off: only what fits goes */
    CLEAN("\x1b[\xc3\xa4", "\xc3\xa4");
    CLEAN("\x1b\xc3\xa4", "\xc3\xa4");
    CLEAN("\x1b\x1b[mx", "x");
    CLEAN("\x1b\0x", "x");
}

static void an_unclosed_string_sequence_hides_no_more_than_its_line(void **state)
{
    (void)state;
    CLEAN("a\x1b]0;never closed\nthe answer", "a\nthe answer");
    CLEAN("a\x1b]0;", "a");
    CLEAN("\x1b]0;x\x1b[31mred", "red");
}

static void cutting_keeps_whole_characters(void **state)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"; /* ends at 1 3 6 10 11 */
    static const size_t ends[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };

    (void)state;
    for (size_t max = 0; max < ARRAY_SIZE(ends); max++) {
        size_t tail = utf8_tail(text, 11, max);

        assert_int_equal(utf8_cut(text, 11, max), ends[max]);
        assert_true(11 - tail <= max);
        assert_true(utf8_is_valid(text + tail, 11 - tail));
    }
    assert_int_equal(utf8_tail(text, 11, 11), 0);
    assert_int_equal(utf8_tail(text, 11, 10), 1);
    assert_int_equal(utf8_tail(text, 11, 9), 3);
    assert_int_equal(utf8_tail(text, 11, 4), 10);
    assert_int_equal(utf8_tail(text, 11, 0), 11);
    assert_int_equal(utf8_cut("", 0, 0), 0);
    assert_int_equal(utf8_tail("", 0, 0), 0);
    assert_int_equal(utf8_cut("\x80\x80\x80", 3, 2), 0); /* not text, but not out of bounds */
    assert_int_equal(utf8_tail("\x80\x80\x80", 3, 2), 3);
}

static void foreign_words_become_one_line(void **state)
{
    char line[8];

    (void)state;
    assert_string_equal(utf8_line(line, sizeof line, "a\tb\r\n\x1b[2Jc\xff"), "a b c");
    assert_string_equal(utf8_line(line, sizeof line, "\xff"), "\xef\xbf\xbd");
    assert_string_equal(utf8_line(line, sizeof line, "abcde\xe2\x82\xac"), "abcde");
    assert_string_equal(utf8_line(line, sizeof line, "abcdefgh"), "abcdefg");
    assert_string_equal(utf8_line(line, sizeof line, ""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wellformedness_follows_table_3_7),
        cmocka_unit_test(every_code_point_but_surrogates_is_valid),
        cmocka_unit_test(each_maximal_illformed_sequence_becomes_one_replacement),
        cmocka_unit_test(controls_go_and_line_ends_become_lf),
        cmocka_unit_test(escape_sequences_are_dropped_whole),
        cmocka_unit_test(an_unclosed_string_sequence_hides_no_more_than_its_line),
        cmocka_unit_test(cutting_keeps_whole_characters),
        cmocka_unit_test(foreign_words_become_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
