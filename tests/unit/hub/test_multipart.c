#include "hub/multipart.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"

#define TYPE "multipart/form-data; boundary=XbX"

/* What a form says, as one text: "[name|filename]data". */
struct teller {
    struct buf said;
    int refusal; /* what data answers */
};

static int on_begin(const char *name, const char *filename, void *ctx)
{
    struct teller *t = ctx;

    buf_printf(&t->said, "[%s|%s]", name, filename ? filename : "-");
    return 0;
}

static int on_data(const char *bytes, size_t len, void *ctx)
{
    struct teller *t = ctx;

    assert_true(len > 0);
    buf_append(&t->said, bytes, len);
    return t->refusal;
}

static const struct multipart_ops ops = { .begin = on_begin, .data = on_data };

/* The form given in pieces of that size: 0 or what it failed with. */
static int tell(const char *type, const char *body, size_t len, size_t piece, struct teller *t)
{
    CLEANUP_PTR(multipart_free) struct multipart *p = multipart_new(type, &ops, t);
    const char *why = NULL;
    int rc = 0;

    assert_non_null(p);
    buf_clear(&t->said);
    for (size_t at = 0; at < len && rc == 0; at += piece)
        rc = multipart_feed(p, body + at, len - at < piece ? len - at : piece, &why);
    if (rc == 0)
        rc = multipart_finish(p, &why);
    if (rc == -EBADMSG)
        assert_non_null(why);
    return rc;
}

static void says(const char *type, const char *body, const char *expected)
{
    for (size_t piece = 1; piece <= strlen(body); piece++) {
        struct teller t = { 0 };

        assert_int_equal(tell(type, body, strlen(body), piece, &t), 0);
        assert_string_equal(buf_str(&t.said), expected);
        buf_done(&t.said);
    }
}

static void is_refused(const char *body)
{
    for (size_t piece = 1; piece <= strlen(body); piece++) {
        struct teller t = { 0 };

        assert_int_equal(tell(TYPE, body, strlen(body), piece, &t), -EBADMSG);
        buf_done(&t.said);
    }
}

#define PART(HEAD, DATA)  "--XbX\r\n" HEAD "\r\n\r\n" DATA "\r\n"
#define NAMED(PARAMETERS) "Content-Disposition: form-data; " PARAMETERS

static void a_file_comes_whole_however_it_is_cut(void **state)
{
    (void)state;
    says(TYPE, PART(NAMED("name=\"file\"; filename=\"a.txt\""), "hello") "--XbX--\r\n",
         "[file|a.txt]hello");
    says(TYPE, PART(NAMED("name=\"file\"; filename=\"a\""), "") "--XbX--", "[file|a]");
    says(TYPE,
         "preamble\r\n--XbX \t\r\n" NAMED("name=x") "\r\n\r\n1\r\n--XbX--epilogue\r\n--XbX\r\n",
         "[x|-]1");
    says("multipart/form-data; charset=x; boundary=\"X b\"",
         "--X b\r\n" NAMED("name=x") "\r\n\r\n1\r\n--X b--", "[x|-]1");
    says(TYPE,
         PART("content-type: a/b\r\nCONTENT-DISPOSITION:form-data;NAME=f;FileName=g", "1")
             PART("X: y", "2") "--XbX--",
         "[f|g]1[|-]2");
}

static void what_looks_like_a_boundary_is_data(void **state)
{
    (void)state;
    says(TYPE,
         PART(NAMED("name=f"),
              "\r\r\n\r\n-\r\n--\r\n--X\r\n--Xb\r\r\n--Xb\n--XbX\r--XbX\r\n--XbY") "--XbX--",
         "[f|-]\r\r\n\r\n-\r\n--\r\n--X\r\n--Xb\r\r\n--Xb\n--XbX\r--XbX\r\n--XbY");
}

static void names_are_unquoted(void **state)
{
    (void)state;
    says(TYPE, PART(NAMED("name=\"f\\\"g\"; filename=\"a\\\\b;c=d\""), "1") "--XbX--",
         "[f\"g|a\\b;c=d]1");
    says(TYPE, PART(NAMED("name=f; filename=\"C:\\dir\\a.txt\""), "1") "--XbX--",
         "[f|C:\\dir\\a.txt]1");
    says(TYPE,
         PART(NAMED("name=f; filename=x; filename*=UTF-8'de'na%C3%AFve%zz%00"), "1") "--XbX--",
         "[f|na\xc3\xafve%zz]1");
    says(TYPE, PART(NAMED("name=f; filename*=latin1''x"), "1") "--XbX--", "[f|-]1");
    says(TYPE, PART(NAMED("junk; ;=; name=\"f"), "1") "--XbX--", "[f|-]1");
}

static void what_is_no_form_is_refused(void **state)
{
    (void)state;
    is_refused("x");
    is_refused("--XbX\r\n");
    is_refused("--XbX\r\n" NAMED("name=f") "\r\n\r\nabc");
    is_refused("--XbXY\r\n" NAMED("name=f") "\r\n\r\nabc\r\n--XbX--");
    is_refused("--XbX-\r\n");
    is_refused(PART(NAMED("name=f"), "1") "--XbX-");
}

static void heads_and_parts_are_bounded(void **state)
{
    CLEANUP(buf_done) struct buf body = { 0 };
    struct teller t = { 0 };

    (void)state;
    buf_append_str(&body, "--XbX\r\nX: ");
    for (size_t i = 0; i < MULTIPART_HEAD_MAX; i++)
        buf_append_char(&body, 'x');
    buf_append_str(&body, "\r\n\r\n1\r\n--XbX--");
    assert_int_equal(tell(TYPE, body.data, body.len, body.len, &t), -EBADMSG);
    buf_clear(&body);
    for (size_t i = 0; i <= MULTIPART_PARTS_MAX; i++)
        buf_append_str(&body, PART(NAMED("name=f"), "1"));
    buf_append_str(&body, "--XbX--");
    assert_int_equal(tell(TYPE, body.data, body.len, body.len, &t), -EBADMSG);
    assert_int_equal(tell(TYPE, "--XbX\r\nX: \0\r\n\r\n1\r\n--XbX--", 29, 29, &t), -EBADMSG);
    buf_done(&t.said);
}

static void what_the_taker_says_ends_it(void **state)
{
    struct teller t = { .refusal = -EMSGSIZE };
    const char *body = PART(NAMED("name=f"), "12") "--XbX--";

    (void)state;
    assert_int_equal(tell(TYPE, body, strlen(body), 1, &t), -EMSGSIZE);
    assert_string_equal(buf_str(&t.said), "[f|-]1");
    buf_done(&t.said);
}

static void only_forms_with_a_boundary_are_begun(void **state)
{
    static const char *const types[] = { "",
                                         "text/plain",
                                         "multipart/mixed; boundary=x",
                                         "multipart/form-data",
                                         "multipart/form-data; boundary=",
                                         "multipart/form-data; boundary=\"\"",
                                         "multipart/form-data; boundary=\"a \"",
                                         "multipart/form-data; boundary=a\x80",
                                         "multipart/form-data; boundary=\"a\r\"",
                                         "multipart/form-data; xboundary=a" };
    char longest[128] = "multipart/form-data; boundary=";
    size_t len = strlen(longest);

    (void)state;
    assert_null(multipart_new(NULL, &ops, NULL));
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        assert_null(multipart_new(types[i], &ops, NULL));
    memset(longest + len, 'a', MULTIPART_BOUNDARY_MAX + 1);
    longest[len + MULTIPART_BOUNDARY_MAX + 1] = '\0';
    assert_null(multipart_new(longest, &ops, NULL));
    longest[len + MULTIPART_BOUNDARY_MAX] = '\0';
    multipart_free(multipart_new(longest, &ops, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_whole_however_it_is_cut),
        cmocka_unit_test(what_looks_like_a_boundary_is_data),
        cmocka_unit_test(names_are_unquoted),
        cmocka_unit_test(what_is_no_form_is_refused),
        cmocka_unit_test(heads_and_parts_are_bounded),
        cmocka_unit_test(what_the_taker_says_ends_it),
        cmocka_unit_test(only_forms_with_a_boundary_are_begun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
