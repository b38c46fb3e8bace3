#include "main/terminal.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/buf.h"
#include "util/cleanup.h"

static void what_a_terminal_would_obey_is_dropped(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "plain\ttext\n", "plain\ttext\n" },
        { "\033[31mred\033[0m", "red" },
        { "\033]0;title\007after", "after" },
        { "a\bb\007c\177", "abc" },
        { "c1 \302\23331m\302\205", "c1 31m" },         /* the 8-bit CSI and NEL */
        { "\u202eevil\u202c \u2066x\u2069", "evil x" }, /* reorders what follows */
        { "bad \xff\xc3 bytes", "bad \ufffd\ufffd bytes" },
        { "\u00e4\u20ac\U0001f600", "\u00e4\u20ac\U0001f600" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };

        terminal_clean(&b, cases[i].in, strlen(cases[i].in));
        assert_string_equal(buf_str(&b), cases[i].out);
    }
}

static void a_line_is_one_line_and_fits(void **state)
{
    static const struct {
        const char *in;
        size_t columns;
        const char *out;
    } cases[] = {
        { "", 10, "" },
        { "exactly ten", 11, "exactly ten" },
        { "exactly ten", 10, "exactly t\u2026" },
        { "  a\n\n b\t\tc  ", 20, "a b c" },
        { "two \033[2Jparts", 20, "two parts" },
        { "anything", 1, "\u2026" },
        { "anything", 0, "" },
        { "\u6f22\u5b57\u6f22\u5b57", 8, "\u6f22\u5b57\u6f22\u5b57" }, /* two columns each */
        { "\u6f22\u5b57\u6f22\u5b57", 7, "\u6f22\u5b57\u6f22\u2026" },
        { "\u6f22\u5b57\u6f22\u5b57", 6, "\u6f22\u5b57\u2026" },
        { "e\u0301e\u0301", 2, "e\u0301e\u0301" }, /* combining marks take none */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };

        terminal_fit(&b, cases[i].in, cases[i].columns);
        assert_string_equal(buf_str(&b), cases[i].out);
    }
}

static void a_frame_is_drawn_over_the_one_before_and_never_past_the_screen(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    terminal_frame(&b, "a\nb\nc\n", 24, false);
    assert_string_equal(buf_str(&b), "\033[Ha\033[K\nb\033[K\nc\033[K\n\033[J");
    buf_clear(&b);
    terminal_frame(&b, "a\nb\nc\n", 3, true);
    assert_string_equal(buf_str(&b), "\033[H\033[2Ja\033[K\nb\033[K\n\033[J");
    buf_clear(&b);
    terminal_frame(&b, "", 1, false);
    assert_string_equal(buf_str(&b), "\033[H\033[J");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_dropped),
        cmocka_unit_test(a_line_is_one_line_and_fits),
        cmocka_unit_test(a_frame_is_drawn_over_the_one_before_and_never_past_the_screen),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
