#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "settings/dotenv.h"
#include "util/buf.h"
#include "util/str.h"

static void parse(const char *text, struct dotenv *d)
{
    dotenv_parse(".env", text, strlen(text), d);
}

static void expect(const char *text, const char *name, const char *value)
{
    CLEANUP(dotenv_done) struct dotenv d = { 0 };
    const struct dotenv_entry *e;

    parse(text, &d);
    e = dotenv_find(&d, name);
    assert_non_null(e);
    assert_string_equal(e->value, value);
    assert_int_equal(d.faults.len, 0);
}

static void every_form_of_a_line_is_read(void **state)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        { "A=b", "b" },
        { "A=", "" },
        { "  export\tA = b \t\n", "b" },
        { "A: b\n", "b" },
        { "A=b c # no more\n", "b c" },
        { "A=b#c\n", "b#c" },
        { "A=#c\n", "" },
        { "A=b\r\nB=c\r\n", "b" },
        { "\xef\xbb\xbf"
          "A=b",
          "b" },
        { "# A=c\n\n\t\nA=b\n", "b" },
        { "A='b # $X \\n'  # c\n", "b # $X \\n" },
        { "A=\"b\\n\\t\\\"\\\\\\$\"\n", "b\n\t\"\\$" },
        { "A=\"one\ntwo\"\nB=c", "one\ntwo" },
        { "A=one\nA=two\n", "two" },
        { "export=1\nA=b", "b" },
        { "B=x\nA=$B/${B}y$\n", "x/xy$" },
        { "B=x\nA=\"$B\"\n", "x" },
        { "B=x\nA='$B'\n", "$B" },
        { "B=x\nA=\\$B\n", "$B" },
        { "A=$NOBODY.\n", "." },
        { "A=${B\n", "${B" },
        { "A=x=y:z", "x=y:z" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect(cases[i].text, "A", cases[i].value);
}

static void a_line_with_a_fault_costs_no_other(void **state)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        { "nothing here\nA=b", ".env:1:1: want a = after the name, which has letters, digits and _ "
                               "only; the line is left out" },
        { "A=b\n  =x\n", ".env:2:3: want NAME=value; the line is left out" },
        { "A=b\n1A=x", ".env:2:1: want NAME=value; the line is left out" },
        { "\n\nX=\"secret\nA=b",
          ".env:3:1: the quotation mark isn't closed; the line is left out" },
        { "X='a\nb' secret\nA=b", ".env:1:1: something follows the closing quotation mark; the "
                                  "line is left out" },
        { "X=a\x01"
          "b\nA=b",
          ".env:1:1: there is a control character in it; the line is left out" },
        { "X=\xff\nA=b", ".env:1:1: the value isn't UTF-8; the line is left out" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(dotenv_done) struct dotenv d = { 0 };

        parse(cases[i].text, &d);
        assert_int_equal(d.len, 1);
        assert_string_equal(dotenv_find(&d, "A")->value, "b");
        assert_int_equal(d.faults.len, 1);
        assert_string_equal(d.faults.items[0], cases[i].fault);
    }
}

static void a_nul_is_no_end_of_a_value(void **state)
{
    static const char text[] = "A=\"b\0c\"\nB=d";
    CLEANUP(dotenv_done) struct dotenv d = { 0 };

    (void)state;
    dotenv_parse(".env", text, sizeof text - 1, &d);
    assert_int_equal(d.len, 1);
    assert_string_equal(dotenv_find(&d, "B")->value, "d");
    assert_string_equal(d.faults.items[0],
                        ".env:1:1: the value has a NUL byte in it; the line is left out");
}

static void what_grows_is_bounded(void **state)
{
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP(dotenv_done) struct dotenv d = { 0 };
    size_t bytes = 0;

    (void)state;
    buf_append_str(&text, "V0=0123456789abcdef\n");
    for (int i = 1; i < 40; i++) /* each twice the one before */
        buf_printf(&text, "V%d=$V%d$V%d\n", i, i - 1, i - 1);
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "W%d=x\n", i);
    dotenv_parse(".env", text.data, text.len, &d);
    for (size_t i = 0; i < d.len; i++) {
        assert_true(strlen(d.items[i].value) <= DOTENV_VALUE_MAX);
        bytes += strlen(d.items[i].value);
    }
    assert_true(bytes <= DOTENV_SIZE_MAX);
    assert_int_equal(d.len, DOTENV_ENTRIES_MAX);
    assert_int_equal(d.faults.len, DOTENV_FAULTS_MAX);
    assert_true(str_ends_with(d.faults.items[DOTENV_FAULTS_MAX - 1],
                              "this line and maybe others can't be read; the line is left out"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_line_is_read),
        cmocka_unit_test(a_line_with_a_fault_costs_no_other),
        cmocka_unit_test(a_nul_is_no_end_of_a_value),
        cmocka_unit_test(what_grows_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
