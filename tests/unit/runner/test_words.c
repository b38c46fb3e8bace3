/* How a failure finds its row, and how the program's own words are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "runner/words.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/utf8.h"

static const struct words_row rows[] = {
    { .kind = "k", .code = "c", .text = "both" },
    { .kind = "k", .text = "kind" },
    { .status_from = 500, .status_to = 599, .says = "Gone", .session_gone = true, .text = "gone" },
    { .status_from = 500, .status_to = 599, .text = "status" },
    { .says = "\xc3\xa9t\xc3\xa9", .text = "says" },
};

static void the_first_row_of_which_all_is_so_is_found(void **state)
{
    static const struct {
        struct words_failure failure;
        const char *text; /* NULL: none */
    } cases[] = {
        { { .kind = "k", .code = "c" }, "both" },
        { { .kind = "k", .code = "x" }, "kind" },
        { { .kind = "k", .status = 500 }, "kind" },
        { { .kind = "kk" }, NULL },
        { { .code = "c" }, NULL },
        { { .status = 500, .words = "it is gOnE" }, "gone" },
        { { .status = 500 }, "status" },
        { { .status = 599, .words = "go" }, "status" },
        { { .status = 600, .words = "gone" }, NULL },
        { { .status = 499 }, NULL },
        { { .words = "un \xc3\xa9t\xc3\xa9" }, "says" },
        { { .words = "" }, NULL },
        { { .words = NULL }, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct words_row *row = words_find(rows, ARRAY_SIZE(rows), &cases[i].failure);

        if (cases[i].text)
            assert_string_equal(row ? row->text : "none", cases[i].text);
        else
            assert_null(row);
    }
}

static void a_row_that_names_nothing_fits_everything(void **state)
{
    static const struct words_row last = { .text = "whatever" };

    (void)state;
    assert_ptr_equal(words_find(&last, 1, &(struct words_failure){ 0 }), &last);
    assert_ptr_equal(words_find(&last, 1, &(struct words_failure){ .kind = "x", .status = 1 }),
                     &last);
    assert_null(words_find(&last, 0, &(struct words_failure){ 0 }));
}

static void standard_error_has_its_table(void **state)
{
    static const struct words_row errors[] = {
        { .says = "no such session", .session_gone = true, .text = "gone" },
        { .says = "no such", .text = "missing" },
    };
    bool gone = false;
    AUTO_FREE char *first = words_stderr(errors, ARRAY_SIZE(errors), "No such session", &gone);
    AUTO_FREE char *second = NULL;

    (void)state;
    assert_string_equal(first, "gone");
    assert_true(gone);
    second = words_stderr(errors, ARRAY_SIZE(errors), "no such option", &gone);
    assert_string_equal(second, "missing");
    assert_false(gone);
    gone = true;
    assert_null(words_stderr(errors, ARRAY_SIZE(errors), "", &gone));
    assert_false(gone);
    gone = true;
    assert_null(words_stderr(errors, ARRAY_SIZE(errors), NULL, &gone));
    assert_false(gone);
}

static void the_programs_words_stand_behind_where_there_are_any(void **state)
{
    AUTO_FREE char *none = words_speak("P", "text", NULL), *blank = words_speak("P", "text", " \n");
    AUTO_FREE char *some = words_speak("P", "text", "so it is \n");

    (void)state;
    assert_string_equal(none, "text");
    assert_string_equal(blank, "text");
    assert_string_equal(some, "text. P said: so it is");
}

static void they_are_bounded_and_whole_characters(void **state)
{
    AUTO_FREE char *words = mem_alloc(3001), *text = NULL;

    (void)state;
    for (size_t i = 0; i < 3000; i += 3)
        memcpy(words + i, "\xe2\x82\xac", 3);
    words[3000] = '\0';
    text = words_speak("P", "text", words);
    assert_true(strlen(text) < 600);
    assert_true(utf8_is_valid(text, strlen(text)));
    assert_string_equal(text + strlen(text) - 3, "...");
}

static void a_cut_leaves_no_part_of_a_word(void **state)
{
    AUTO_FREE char *words = mem_alloc(1001), *text = NULL;

    (void)state;
    memset(words, 'x', 1000);
    words[1000] = '\0';
    memcpy(words, "the key is ", 11);
    text = words_speak("P", "text", words);
    assert_string_equal(text, "text. P said: the key is...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_row_of_which_all_is_so_is_found),
        cmocka_unit_test(a_row_that_names_nothing_fits_everything),
        cmocka_unit_test(standard_error_has_its_table),
        cmocka_unit_test(the_programs_words_stand_behind_where_there_are_any),
        cmocka_unit_test(they_are_bounded_and_whole_characters),
        cmocka_unit_test(a_cut_leaves_no_part_of_a_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
