#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "task/leftover.h"
#include "util/buf.h"
#include "util/mask.h"
#include "util/utf8.h"

static void add(struct buf *b, enum planted_kind kind, const char *path, char print)
{
    struct leftover item = { .kind = kind };

    memset(item.print, print, sizeof item.print);
    assert_true(leftover_add(b, &item, path));
}

/* Ends what is in b, and reads it. */
static void read_all(struct buf *b, uint32_t gaps, struct leftovers *ret)
{
    leftover_end(b, 7, gaps);
    assert_int_equal(leftover_read(b->data, b->len, ret), 0);
    buf_done(b);
}

static void what_is_written_is_read(void **state)
{
    struct buf b = { 0 };
    struct leftover home = { .kind = PLANTED_NAME, .place = LEFTOVER_HOME };
    struct leftovers l;

    (void)state;
    leftover_begin(&b);
    assert_true(leftover_add(&b, &home, "a\nb"));
    add(&b, PLANTED_SHELL, "x/.envrc", 1);
    add(&b, PLANTED_SHELL, ".envrc", 2);
    add(&b, PLANTED_SHELL, ".envrc", 2);
    read_all(&b, LEFTOVERS_DEEP, &l);
    assert_int_equal(l.len, 3);
    assert_string_equal(l.items[0].path, ".envrc");
    assert_string_equal(l.items[1].path, "x/.envrc");
    assert_string_equal(l.items[2].path, "a\nb");
    assert_int_equal(l.items[2].kind, PLANTED_NAME);
    assert_int_equal(l.items[2].place, LEFTOVER_HOME);
    assert_int_equal(l.items[0].print[15], 2);
    assert_int_equal(l.entries, 7);
    assert_int_equal(l.gaps, LEFTOVERS_DEEP);
    leftover_done(&l);
}

static void every_damage_is_refused(void **state)
{
    struct buf b = { 0 };
    struct leftovers l;

    (void)state;
    leftover_begin(&b);
    add(&b, PLANTED_SHELL, "x/.envrc", 1);
    leftover_end(&b, 1, 0);
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(leftover_read(b.data, len, &l), -EBADMSG);
    buf_append_char(&b, 'x');
    assert_int_equal(leftover_read(b.data, b.len, &l), -EBADMSG);
    b.len--;
    b.data[5] = (char)PLANTED_KIND_COUNT;
    assert_int_equal(leftover_read(b.data, b.len, &l), -EBADMSG);
    b.data[5] = 0;
    b.data[6] = LEFTOVER_PLACE_COUNT;
    assert_int_equal(leftover_read(b.data, b.len, &l), -EBADMSG);
    b.data[6] = 0;
    assert_int_equal(leftover_read(b.data, b.len, &l), 0);
    leftover_done(&l);
    b.data[b.len - 1] = 1; /* a gap that there isn't */
    assert_int_equal(leftover_read(b.data, b.len, &l), -EBADMSG);
    buf_done(&b);
}

static void paths_that_no_walk_meets_are_refused(void **state)
{
    static const char *const paths[] = { "/etc", "..", "a/../b", "a//b", "a/", ".", "./a" };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct buf b = { 0 };
        struct leftovers l;

        leftover_begin(&b);
        add(&b, PLANTED_SHELL, paths[i], 1);
        leftover_end(&b, 1, 0);
        assert_int_equal(leftover_read(b.data, b.len, &l), -EBADMSG);
        buf_done(&b);
    }
}

static void only_what_is_new_or_changed_is_named(void **state)
{
    struct buf b = { 0 };
    struct leftovers before, now;

    (void)state;
    leftover_begin(&b);
    add(&b, PLANTED_CI, ".gitlab-ci.yml", 1);
    add(&b, PLANTED_SHELL, ".envrc", 1);
    read_all(&b, 0, &before);
    leftover_begin(&b);
    add(&b, PLANTED_CI, ".gitlab-ci.yml", 1);
    add(&b, PLANTED_SHELL, ".envrc", 2);
    add(&b, PLANTED_GIT_HOOK, ".git/hooks/pre-commit", 1);
    read_all(&b, 0, &now);
    leftover_describe(&now, &before, NULL, &b, NULL);
    assert_string_equal(
        buf_str(&b),
        "nairid noticed that this task left files that programs may run or obey later: "
        "`.git/hooks/pre-commit` (new; git runs it), `.envrc` (changed; shells run it).");
    buf_clear(&b);
    leftover_describe(&now, NULL, NULL, &b, NULL);
    assert_non_null(strstr(buf_str(&b), "`.envrc` (shells run it)"));
    assert_non_null(strstr(buf_str(&b), "of this task or of an earlier one"));
    buf_clear(&b);
    leftover_describe(&now, &now, NULL, &b, NULL);
    assert_string_equal(buf_str(&b), "");
    leftover_done(&before);
    leftover_done(&now);
    buf_done(&b);
}

static void what_was_not_looked_at_is_said(void **state)
{
    struct buf b = { 0 };
    struct leftovers before = { 0 }, now;

    (void)state;
    leftover_begin(&b);
    read_all(&b, LEFTOVERS_TIME, &now);
    leftover_describe(&now, &before, NULL, &b, NULL);
    assert_string_equal(buf_str(&b),
                        "nairid looked for files that programs may run or obey later, but not at "
                        "everything: the scan stopped after 7 entries, when its time was over.");
    buf_clear(&b);
    leftover_describe(&now, NULL, NULL, &b, NULL); /* nobody knows what was said before */
    assert_non_null(strstr(buf_str(&b), "the scan stopped"));
    buf_done(&b);
    leftover_done(&now);
}

static void what_was_not_looked_at_before_either_is_not_said_again(void **state)
{
    struct buf b = { 0 };
    struct leftovers before, now, news;

    (void)state;
    leftover_begin(&b);
    read_all(&b, LEFTOVERS_ENTRIES, &before);
    leftover_begin(&b);
    read_all(&b, LEFTOVERS_TIME, &now);
    leftover_begin(&b);
    add(&b, PLANTED_SHELL, ".envrc", 1);
    read_all(&b, LEFTOVERS_TIME, &news);
    leftover_describe(&now, &before, NULL, &b, NULL); /* too big is too big */
    assert_string_equal(buf_str(&b), "");
    leftover_describe(&news, &before, NULL, &b, NULL); /* there may be more of that */
    assert_non_null(strstr(buf_str(&b), "`.envrc`"));
    assert_non_null(strstr(buf_str(&b), "the scan stopped"));
    buf_clear(&b);
    now.gaps |= LEFTOVERS_UNREAD;
    leftover_describe(&now, &before, NULL, &b, NULL); /* something else is new */
    assert_non_null(strstr(buf_str(&b), "but not at everything"));
    buf_done(&b);
    leftover_done(&before);
    leftover_done(&now);
    leftover_done(&news);
}

static void packages_that_were_left_out_are_said_once_and_beside_news(void **state)
{
    struct buf b = { 0 };
    struct leftovers before, now, news;

    (void)state;
    leftover_begin(&b);
    read_all(&b, 0, &before);
    leftover_begin(&b);
    read_all(&b, LEFTOVERS_PACKAGES, &now);
    leftover_begin(&b);
    add(&b, PLANTED_SHELL, ".envrc", 1);
    read_all(&b, LEFTOVERS_PACKAGES | LEFTOVERS_DEEP, &news);
    leftover_describe(&now, &before, NULL, &b, NULL);
    assert_string_equal(buf_str(&b), "nairid looked for files that programs may run or obey later, "
                                     "but not at everything: packages below a node_modules, which "
                                     "have such files, were left out.");
    buf_clear(&b);
    leftover_describe(&now, &now, NULL, &b, NULL);
    assert_string_equal(buf_str(&b), "");
    leftover_describe(&news, &now, NULL, &b, NULL);
    assert_non_null(strstr(buf_str(&b), "`.envrc`"));
    assert_non_null(strstr(buf_str(&b), "too deep. Packages below a node_modules were left out."));
    buf_done(&b);
    leftover_done(&before);
    leftover_done(&now);
    leftover_done(&news);
}

static void many_are_counted_and_the_words_stay_short(void **state)
{
    struct buf b = { 0 };
    struct leftovers none = { 0 }, now;
    char path[LEFTOVER_PATH_MAX];

    (void)state;
    leftover_begin(&b);
    for (int i = 0; i < 200; i++) {
        memset(path, '\n', sizeof path - 1);
        (void)snprintf(path + 3000, 20, "%d", i);
        add(&b, PLANTED_GIT_LINK, path, 1);
    }
    read_all(&b, LEFTOVERS_GAPS_ALL, &now);
    leftover_describe(&now, &none, NULL, &b, NULL);
    assert_in_range(b.len, 1, LEFTOVERS_WORDS_MAX);
    assert_non_null(strstr(b.data, " and 192 more."));
    assert_null(strchr(b.data, '\n'));
    leftover_done(&now);
    buf_done(&b);
}

/* Told once each, over several replies; and it is said whose they are not. */
static void what_was_only_counted_is_named_later(void **state)
{
    struct buf b = { 0 }, known = { 0 };
    struct leftovers before = { 0 }, now;
    char path[32], quoted[80];

    (void)state;
    leftover_begin(&b);
    for (int i = 0; i < 19; i++) {
        (void)snprintf(path, sizeof path, "d%02d/.envrc", i);
        add(&b, PLANTED_SHELL, path, 1);
    }
    read_all(&b, 0, &now);
    for (int round = 0; round < 4; round++) {
        buf_clear(&b);
        buf_clear(&known);
        leftover_describe(&now, &before, NULL, &b, &known);
        leftover_done(&before);
        assert_int_equal(leftover_read(known.data, known.len, &before), 0);
        assert_int_equal(before.len, now.len);
        for (int i = 0; i < 19; i++) {
            (void)snprintf(quoted, sizeof quoted, "`d%02d/.envrc` (%s; shells run it)", i,
                           round == 0 ? "new" : "from an earlier task");
            assert_int_equal(strstr(buf_str(&b), quoted) != NULL, i / 8 == round);
        }
        assert_int_equal(strstr(buf_str(&b), "this task left") != NULL, round == 0);
        assert_int_equal(strstr(buf_str(&b), "which it hasn't named yet: ") != NULL,
                         round == 1 || round == 2);
        assert_int_equal(strstr(buf_str(&b), " and ") != NULL, round < 2);
    }
    assert_string_equal(buf_str(&b), "");
    leftover_done(&before);
    leftover_done(&now);
    buf_done(&b);
    buf_done(&known);
}

static void what_this_task_left_comes_with_what_is_untold(void **state)
{
    struct leftover hidden = { .kind = PLANTED_SHELL, .untold = true };
    struct buf b = { 0 };
    struct leftovers before, now;

    (void)state;
    leftover_begin(&b);
    memset(hidden.print, 1, sizeof hidden.print);
    assert_true(leftover_add(&b, &hidden, "a/.envrc"));
    assert_true(leftover_add(&b, &hidden, "b/.envrc"));
    assert_true(leftover_add(&b, &hidden, "gone/.envrc"));
    read_all(&b, 0, &before);
    assert_true(before.items[0].untold);
    leftover_begin(&b);
    add(&b, PLANTED_SHELL, "a/.envrc", 1);
    add(&b, PLANTED_SHELL, "b/.envrc", 2);
    add(&b, PLANTED_SHELL, "c/.envrc", 1);
    read_all(&b, 0, &now);
    leftover_describe(&now, &before, NULL, &b, NULL);
    assert_string_equal(
        buf_str(&b),
        "nairid noticed that this task left files that programs may run or obey later: "
        "`a/.envrc` (from an earlier task; shells run it), `b/.envrc` (changed; shells run it), "
        "`c/.envrc` (new; shells run it).");
    leftover_done(&before);
    leftover_done(&now);
    buf_done(&b);
}

static void names_are_shown_so_that_nothing_in_them_acts(void **state)
{
    static const struct {
        const char *path, *shown;
    } cases[] = {
        { "a b", "a b" },
        { "two\nlines\t\r", "two\\nlines\\t\\r" },
        { "\x1b[31m\x7f", "\\x1b[31m\\x7f" },
        { "a`b\\", "a\\x60b\\\\" },
        { "caf\xc3\xa9", "caf\xc3\xa9" },
        { "caf\xe9", "caf\\xe9" },
        { "a\xe2\x80\xae"
          "b",
          "a\\u{202e}b" },
        { "\xc2\x85\xef\xbb\xbf", "\\u{85}\\u{feff}" },
        { "\xf0\x9f\x8c\x9e\xf3\xa0\x80\xa1", "\xf0\x9f\x8c\x9e\\u{e0021}" },
        { "\xed\xa0\x80", "\\xed\\xa0\\x80" },
        { "\xf0\x9f\x8c", "\\xf0\\x9f\\x8c" },
    };
    struct buf b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_clear(&b);
        leftover_quote(cases[i].path, 100, &b);
        assert_string_equal(buf_str(&b), cases[i].shown);
    }
    buf_done(&b);
}

static void a_long_name_keeps_its_two_ends(void **state)
{
    char path[1000];
    struct buf b = { 0 };

    (void)state;
    memset(path, 'm', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    memcpy(path, ".git", 4);
    memcpy(path + sizeof path - 5, "last", 4);
    leftover_quote(path, 64, &b);
    assert_in_range(b.len, 60, 64);
    assert_memory_equal(b.data, ".git", 4);
    assert_string_equal(b.data + b.len - 4, "last");
    assert_true(utf8_is_valid(b.data, b.len));
    buf_done(&b);
}

static void a_secret_in_a_name_is_masked_before_the_name_is_cut_and_quoted(void **state)
{
    static const char secret[] = "s3cr3t`with-a-long-tail-that-any-cut-would-leave";
    struct mask *mask = mask_new();
    struct leftovers none = { 0 }, now;
    struct buf b = { 0 };
    char path[300];

    (void)state;
    assert_int_equal(mask_add(mask, secret, strlen(secret)), 0);
    memset(path, 'd', sizeof path);
    (void)snprintf(path + 20, sizeof path - 20, "%s%*s/.envrc", secret, 60, "x");
    leftover_begin(&b);
    add(&b, PLANTED_SHELL, path, 1);
    read_all(&b, 0, &now);
    leftover_describe(&now, &none, mask, &b, NULL);
    assert_non_null(strstr(buf_str(&b), "dd[secret] "));
    assert_null(strstr(buf_str(&b), "tail"));
    assert_string_equal(now.items[0].path, path); /* as it is, to be compared later */
    leftover_done(&now);
    buf_done(&b);
    mask_free(mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(every_damage_is_refused),
        cmocka_unit_test(paths_that_no_walk_meets_are_refused),
        cmocka_unit_test(only_what_is_new_or_changed_is_named),
        cmocka_unit_test(what_was_not_looked_at_is_said),
        cmocka_unit_test(what_was_not_looked_at_before_either_is_not_said_again),
        cmocka_unit_test(packages_that_were_left_out_are_said_once_and_beside_news),
        cmocka_unit_test(many_are_counted_and_the_words_stay_short),
        cmocka_unit_test(what_was_only_counted_is_named_later),
        cmocka_unit_test(what_this_task_left_comes_with_what_is_untold),
        cmocka_unit_test(names_are_shown_so_that_nothing_in_them_acts),
        cmocka_unit_test(a_long_name_keeps_its_two_ends),
        cmocka_unit_test(a_secret_in_a_name_is_masked_before_the_name_is_cut_and_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
