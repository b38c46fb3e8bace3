#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "task/crate.h"
#include "util/buf.h"
#include "util/err.h"

/* What a crate's reader was told, as one text. */
static int on_file(const char *path, bool is_program, void *ctx, struct err *err)
{
    (void)err;
    buf_printf(ctx, "[%s%s]", path, is_program ? "*" : "");
    return 0;
}

static int on_piece(const void *bytes, size_t len, void *ctx, struct err *err)
{
    (void)err;
    buf_append(ctx, bytes, len);
    return 0;
}

static const struct crate_ops ops = { .file = on_file, .piece = on_piece };

static int read_all(const struct buf *b, size_t step, struct buf *ret_told, bool *ret_whole)
{
    struct crate c = { 0 };
    int r = 0;

    for (size_t at = 0; r == 0 && at < b->len; at += step)
        r = crate_feed(&c, b->data + at, step < b->len - at ? step : b->len - at, &ops, ret_told,
                       NULL);
    *ret_whole = crate_is_whole(&c);
    crate_done(&c);
    return r;
}

static void what_is_packed_is_read_however_it_is_cut(void **state)
{
    struct buf b = { 0 };
    bool whole;

    (void)state;
    crate_put_file(&b, "SKILL.md", false);
    crate_put_piece(&b, "one ", 4);
    crate_put_piece(&b, "two", 3);
    crate_put_file(&b, "bin/run", true);
    crate_put_end(&b);
    for (size_t step = 1; step < b.len + 2; step++) {
        struct buf told = { 0 };

        assert_int_equal(read_all(&b, step, &told, &whole), 0);
        assert_true(whole);
        assert_string_equal(buf_str(&told), "[SKILL.md]one two[bin/run*]");
        buf_done(&told);
    }
    buf_done(&b);
}

static void what_ends_early_is_not_whole(void **state)
{
    struct buf b = { 0 }, told = { 0 };
    bool whole;

    (void)state;
    crate_put_file(&b, "a", false);
    crate_put_piece(&b, "x", 1);
    assert_int_equal(read_all(&b, 100, &told, &whole), 0);
    assert_false(whole);
    buf_done(&b);
    buf_done(&told);
}

static void a_refusal_is_told_in_its_words(void **state)
{
    struct buf b = { 0 }, told = { 0 };
    struct crate c = { 0 };
    struct err err;

    (void)state;
    crate_put_refusal(&b, "it is\na link");
    assert_int_equal(crate_feed(&c, b.data, b.len, &ops, &told, &err), -ECANCELED);
    assert_string_equal(err.text, "it is a link");
    assert_int_equal(crate_feed(&c, b.data, b.len, &ops, &told, &err), -ECANCELED);
    assert_false(crate_is_whole(&c));
    crate_done(&c);
    buf_done(&b);
}

static void what_the_writer_may_not_say_is_damage(void **state)
{
    static const char *const paths[] = { "../x", "/x", "a/../b", "a//b", "a/",
                                         ".",    "..", "a\\b",   "a\nb", "\xff" };
    bool whole;

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct buf b = { 0 }, told = { 0 };

        assert_non_null(crate_refusal(paths[i], strlen(paths[i])));
        crate_put_file(&b, paths[i], false);
        assert_int_equal(read_all(&b, 100, &told, &whole), -EBADMSG);
        assert_int_equal(told.len, 0);
        buf_done(&b);
    }
    assert_null(crate_refusal("a/b.c", 5));
    assert_null(crate_refusal("...", 3));
}

static void bytes_without_a_file_and_bytes_behind_the_end_are_damage(void **state)
{
    struct buf b = { 0 }, told = { 0 };
    bool whole;

    (void)state;
    crate_put_piece(&b, "x", 1);
    assert_int_equal(read_all(&b, 100, &told, &whole), -EBADMSG);
    buf_clear(&b);
    crate_put_end(&b);
    crate_put_end(&b);
    assert_int_equal(read_all(&b, 100, &told, &whole), -EBADMSG);
    assert_int_equal(read_all(&b, CRATE_HEAD, &told, &whole), -EBADMSG);
    buf_done(&b);
    buf_done(&told);
}

static void too_many_files_and_too_many_bytes_are_refused(void **state)
{
    char *piece = calloc(1, CRATE_PIECE_MAX);
    struct buf b = { 0 }, told = { 0 };
    struct crate c = { 0 };
    int r = 0;

    (void)state;
    crate_put_file(&b, "a", false);
    for (size_t i = 0; i <= CRATE_FILES_MAX && r == 0; i++)
        r = crate_feed(&c, b.data, b.len, &ops, &told, NULL);
    assert_int_equal(r, -EMSGSIZE);
    crate_done(&c);
    assert_int_equal(crate_feed(&c, b.data, b.len, &ops, &told, NULL), 0);
    buf_clear(&b);
    crate_put_piece(&b, piece, CRATE_PIECE_MAX);
    for (size_t i = 0; i <= CRATE_BYTES_MAX / CRATE_PIECE_MAX && r != 0; i++) {
        buf_clear(&told);
        r = crate_feed(&c, b.data, b.len, &ops, &told, NULL) == 0 ? -1 : 0;
    }
    assert_int_equal(c.failure, -EMSGSIZE);
    crate_done(&c);
    buf_done(&b);
    buf_done(&told);
    free(piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_read_however_it_is_cut),
        cmocka_unit_test(what_ends_early_is_not_whole),
        cmocka_unit_test(a_refusal_is_told_in_its_words),
        cmocka_unit_test(what_the_writer_may_not_say_is_damage),
        cmocka_unit_test(bytes_without_a_file_and_bytes_behind_the_end_are_damage),
        cmocka_unit_test(too_many_files_and_too_many_bytes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
