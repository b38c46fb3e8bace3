#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "sandbox/unpack.h"
#include "task/crate.h"
#include "util/buf.h"
#include "util/err.h"

enum { ARCHIVE_BYTES = 4 << 20 };

/* One entry; text: of a file, or where a link leads. */
struct thing {
    const char *name, *text;
    mode_t mode;
};

static size_t pack(const struct thing *things, size_t count, char *bytes)
{
    struct archive *a = archive_write_new();
    size_t used = 0;

    assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(a, bytes, ARCHIVE_BYTES, &used), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *e = archive_entry_new();
        bool is_file = S_ISREG(things[i].mode);

        archive_entry_set_pathname(e, things[i].name);
        archive_entry_set_mode(e, things[i].mode);
        if (S_ISLNK(things[i].mode))
            archive_entry_set_symlink(e, things[i].text);
        archive_entry_set_size(e, is_file ? (la_int64_t)strlen(things[i].text) : 0);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        if (is_file)
            assert_int_equal(archive_write_data(a, things[i].text, strlen(things[i].text)),
                             strlen(things[i].text));
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    return used;
}

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

struct reader {
    struct crate crate;
    struct buf told;
    struct err err;
};

static int on_bytes(const void *bytes, size_t len, void *ctx)
{
    static const struct crate_ops ops = { .file = on_file, .piece = on_piece };
    struct reader *r = ctx;

    (void)crate_feed(&r->crate, bytes, len, &ops, &r->told, &r->err);
    return 0;
}

/* What comes out as one text, or the refusal. */
static char *unpack_bytes(const void *bytes, size_t len)
{
    struct reader r = { 0 };
    char *text;

    assert_int_equal(unpack_archive(bytes, len, on_bytes, &r), 0);
    text = strdup(crate_is_whole(&r.crate) ? buf_str(&r.told) : r.err.text);
    crate_done(&r.crate);
    buf_done(&r.told);
    return text;
}

static char *unpack_things(const struct thing *things, size_t count)
{
    char *bytes = malloc(ARCHIVE_BYTES);
    char *text = unpack_bytes(bytes, pack(things, count, bytes));

    free(bytes);
    return text;
}

static void one_folder_that_all_lies_in_is_left_off(void **state)
{
    static const struct thing things[] = {
        { "fly/", NULL, S_IFDIR | 0755 },         { "fly/SKILL.md", "how", S_IFREG | 0600 },
        { "fly/bin/run", "#!", S_IFREG | 04775 }, { "__MACOSX/._x", "?", S_IFREG | 0644 },
        { "fly/.DS_Store", "?", S_IFREG | 0644 },
    };
    char *text = unpack_things(things, 5);

    (void)state;
    assert_string_equal(text, "[SKILL.md]how[bin/run*]#!");
    free(text);
}

static void with_two_folders_none_is_left_off(void **state)
{
    static const struct thing things[] = { { "a/x", "1", S_IFREG | 0644 },
                                           { "b/y", "2", S_IFREG | 0644 } };
    char *text = unpack_things(things, 2);

    (void)state;
    assert_string_equal(text, "[a/x]1[b/y]2");
    free(text);
}

static void what_could_leave_its_folder_is_refused_whole(void **state)
{
    static const struct {
        struct thing thing;
        const char *why;
    } cases[] = {
        { { "../x", "1", S_IFREG | 0644 }, "'.' and '..'" },
        { { "a/../../x", "1", S_IFREG | 0644 }, "'.' and '..'" },
        { { "/etc/x", "1", S_IFREG | 0644 }, "absolute" },
        { { "l", "/etc", S_IFLNK | 0777 }, "it is a link" },
        { { "../d/", NULL, S_IFDIR | 0755 }, "'.' and '..'" },
        { { "a\nb", "1", S_IFREG | 0644 }, "control characters" },
        { { "good", "2", S_IFREG | 0644 }, "it is there twice" },
        { { "good/x", "2", S_IFREG | 0644 }, "in what is a file" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct thing things[] = { { "good", "1", S_IFREG | 0644 }, cases[i].thing };
        char *text = unpack_things(things, 2);

        assert_non_null(strstr(text, cases[i].why));
        free(text);
    }
}

static void what_is_no_archive_is_told_so(void **state)
{
    char *text = unpack_bytes("this is none", 12);

    (void)state;
    assert_non_null(strstr(text, "it is"));
    assert_null(strchr(text, '['));
    free(text);
    text = unpack_things(NULL, 0);
    assert_null(strchr(text, '['));
    free(text);
}

static void what_grows_out_of_proportion_is_refused(void **state)
{
    char *zeros = malloc((8 << 20) + 1), *text;
    struct thing thing = { "zeros", zeros, S_IFREG | 0644 };

    (void)state;
    memset(zeros, 'a', 8 << 20);
    zeros[8 << 20] = '\0';
    text = unpack_things(&thing, 1);
    assert_non_null(strstr(text, "times as large"));
    free(text);
    free(zeros);
}

static void too_many_files_are_refused(void **state)
{
    static char names[CRATE_FILES_MAX + 1][8];
    static struct thing things[CRATE_FILES_MAX + 1];
    char *text;

    (void)state;
    for (size_t i = 0; i <= CRATE_FILES_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "f%zu", i);
        things[i] = (struct thing){ names[i], "", S_IFREG | 0644 };
    }
    text = unpack_things(things, CRATE_FILES_MAX + 1);
    assert_non_null(strstr(text, "more than"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_folder_that_all_lies_in_is_left_off),
        cmocka_unit_test(with_two_folders_none_is_left_off),
        cmocka_unit_test(what_could_leave_its_folder_is_refused_whole),
        cmocka_unit_test(what_is_no_archive_is_told_so),
        cmocka_unit_test(what_grows_out_of_proportion_is_refused),
        cmocka_unit_test(too_many_files_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
