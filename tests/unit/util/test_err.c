#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/utf8.h"

static int set_by_list(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int set_by_list(struct err *err, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = err_setv(err, -EIO, fmt, ap);
    va_end(ap);
    return r;
}

static void setting_keeps_the_code_and_the_sentence(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(err_set(&err, -ENOENT, "open '%s': %d", "x", 7), -ENOENT);
    assert_int_equal(err.code, -ENOENT);
    assert_string_equal(err.text, "open 'x': 7");
    assert_int_equal(set_by_list(&err, "%s", "again"), -EIO);
    assert_int_equal(err.code, -EIO);
    assert_string_equal(err.text, "again");
}

static void nobody_has_to_want_the_sentence(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, -EPERM, "%s", "x"), -EPERM);
    assert_int_equal(set_by_list(NULL, "%s", "x"), -EIO);
    assert_int_equal(err_prefix(NULL, "%s", "x"), 0);
}

static void a_prefix_goes_before_the_text_and_keeps_the_code(void **state)
{
    struct err err = { 0 };

    (void)state;
    (void)err_set(&err, -EACCES, "no");
    assert_int_equal(err_prefix(&err, "line %d", 3), -EACCES);
    assert_string_equal(err.text, "line 3: no");
}

static void the_arguments_may_be_the_text_itself(void **state)
{
    struct err err = { 0 };

    (void)state;
    (void)err_set(&err, -EIO, "inner");
    (void)err_set(&err, -EIO, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
    (void)err_prefix(&err, "[%s]", err.text);
    assert_string_equal(err.text, "[outer (inner)]: outer (inner)");
}

static void long_texts_are_cut_to_fit_between_characters(void **state)
{
    char filler[2 * ERR_TEXT_MAX];
    struct err err = { 0 };

    (void)state;
    memset(filler, 'a', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    (void)err_set(&err, -EIO, "%s", filler);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);

    for (size_t shift = 0; shift < 3; shift++) { /* three bytes a character, at each offset */
        for (size_t i = 0; i + 3 < sizeof filler; i += 3)
            memcpy(filler + i, "\xe2\x82\xac", 3);
        memset(filler, 'b', shift * 3);
        (void)err_set(&err, -EIO, "%.*s%s", (int)shift, "xyz", filler);
        assert_true(utf8_is_valid(err.text, strlen(err.text)));
        assert_in_range(strlen(err.text), ERR_TEXT_MAX - 3, ERR_TEXT_MAX - 1);
    }
}

static void a_prefix_leaves_what_fits_of_the_text(void **state)
{
    char filler[ERR_TEXT_MAX + 9];
    struct err err = { 0 };

    (void)state;
    memset(filler, 'p', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    (void)err_set(&err, -EIO, "tail");
    (void)err_prefix(&err, "%.*s", ERR_TEXT_MAX - 5, filler);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_string_equal(err.text + ERR_TEXT_MAX - 5, ": ta");
    (void)err_set(&err, -EIO, "tail");
    (void)err_prefix(&err, "%s", filler);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_int_equal(strspn(err.text, "p"), ERR_TEXT_MAX - 1);
}

static void a_shortage_is_what_may_pass_by_itself(void **state)
{
    static const int shortages[] = { EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOLCK, ENOMEM };
    static const int others[] = { 0, EIO, ENOSPC, EACCES, EINVAL, ENOENT, EPIPE, ECONNRESET };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(shortages); i++)
        assert_true(err_is_shortage(-shortages[i]));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_false(err_is_shortage(-others[i]));
    assert_false(err_is_shortage(ENOMEM)); /* a length, say */
}

static void what_the_machine_lacks_has_its_own_remedy(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(err_set_machine(&err, -EMFILE, "open", "a"), -EMFILE);
    assert_string_equal(err.text, "open 'a': Too many open files; raise the limit of open files "
                                  "(ulimit -n, LimitNOFILE=)");
    assert_int_equal(err_set_machine(&err, -ENOSPC, "make", "b"), -ENOSPC);
    assert_non_null(strstr(err.text, "make 'b': No space left on device; make room"));
    assert_int_equal(err_set_machine(&err, -ENOMEM, "open", "c"), -ENOMEM);
    assert_int_equal(err_set_machine(&err, -EIO, "open", "d"), -EIO);
    assert_int_equal(err_set_machine(&err, -EACCES, "open", "e"), 0);
    assert_int_equal(err_set_machine(&err, -ENOENT, "open", "e"), 0);
    assert_non_null(strstr(err.text, "'d'")); /* as before */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_keeps_the_code_and_the_sentence),
        cmocka_unit_test(nobody_has_to_want_the_sentence),
        cmocka_unit_test(a_prefix_goes_before_the_text_and_keeps_the_code),
        cmocka_unit_test(the_arguments_may_be_the_text_itself),
        cmocka_unit_test(long_texts_are_cut_to_fit_between_characters),
        cmocka_unit_test(a_shortage_is_what_may_pass_by_itself),
        cmocka_unit_test(what_the_machine_lacks_has_its_own_remedy),
        cmocka_unit_test(a_prefix_leaves_what_fits_of_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
