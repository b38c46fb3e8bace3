#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "settings/document.h"
#include "util/buf.h"
#include "util/err.h"

static struct document_node *parse(const char *text)
{
    struct document_node *root = NULL;
    struct err err = { 0 };

    if (document_parse("f", text, strlen(text), &root, &err) < 0)
        fail_msg("%s", err.text);
    return root;
}

static void assert_refused(const char *text, size_t len, const char *want)
{
    struct document_node *root = NULL;
    struct err err = { 0 };

    assert_int_equal(document_parse("f", text, len, &root, &err), -EINVAL);
    assert_string_equal(err.text, want);
    assert_null(root);
}

static void a_tree_knows_its_places(void **state)
{
    CLEANUP_PTR(document_free)
    struct document_node *root = parse("a: x\nb:\n  c: [1, 'two']\n  d: {}\n");
    const struct document_node *b, *c;

    (void)state;
    assert_int_equal(root->type, DOCUMENT_MAP);
    assert_string_equal(root->first->key, "a");
    assert_string_equal(root->first->text, "x");
    assert_int_equal(root->first->line, 1);
    assert_int_equal(root->first->column, 1);
    b = root->first->next;
    assert_string_equal(b->key, "b");
    c = b->first;
    assert_int_equal(c->type, DOCUMENT_LIST);
    assert_int_equal(c->line, 3);
    assert_int_equal(c->column, 3);
    assert_string_equal(c->first->text, "1");
    assert_false(c->first->quoted);
    assert_string_equal(c->first->next->text, "two");
    assert_true(c->first->next->quoted);
    assert_int_equal(c->first->next->column, 10);
    assert_null(c->first->next->next);
    assert_int_equal(c->next->type, DOCUMENT_MAP);
    assert_null(c->next->first);
    assert_null(b->next);
}

static void columns_count_characters_not_bytes(void **state)
{
    CLEANUP_PTR(document_free)
    struct document_node *root = parse("{\"\xc3\xa4\xe2\x82\xac\": 1, b: 2}");

    (void)state;
    assert_int_equal(root->first->next->column, 11);
}

static void a_file_that_holds_nothing_has_no_tree(void **state)
{
    static const char *const empty[] = { "", "# nothing\n", "\n\n", "\xef\xbb\xbf" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
        assert_null(parse(empty[i]));
}

static void nothing_is_told_from_an_empty_text(void **state)
{
    CLEANUP_PTR(document_free)
    struct document_node *root = parse("a:\nb: ~\nc: null\nd: ''\ne: x\nf: []\ng: {}\n");
    static const char *const kinds[] = { "nothing", "nothing", "nothing", "text",
                                         "text",    "a list",  "a map" };
    size_t i = 0;

    (void)state;
    for (const struct document_node *n = root->first; n; n = n->next, i++) {
        assert_string_equal(document_kind(n), kinds[i]);
        assert_int_equal(document_is_nothing(n), i < 3);
    }
    assert_int_equal(i, ARRAY_SIZE(kinds));
}

static void what_a_settings_file_does_not_need_is_refused(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "a: &x 1\n", "f:1:4: anchors (&name) aren't supported; remove it" },
        { "a: &x [1]\n", "f:1:4: anchors (&name) aren't supported; remove it" },
        { "a: &x {b: 1}\n", "f:1:4: anchors (&name) aren't supported; remove it" },
        { "a: *x\n", "f:1:4: aliases (*name) aren't supported; write the value again" },
        { "*x : 1\n", "f:1:1: aliases (*name) aren't supported; write the value again" },
        { "a: !!str 1\n", "f:1:4: tags (!name) aren't supported; remove it" },
        { "a: !mine [1]\n", "f:1:4: tags (!name) aren't supported; remove it" },
        { "!!map {a: 1}\n", "f:1:1: tags (!name) aren't supported; remove it" },
        { "a:\n  <<: {b: 1}\n", "f:2:3: merge keys (<<) aren't supported; write the values out" },
        { "a: 1\n---\nb: 2\n", "f:2:1: a second document begins here; one file holds one" },
        { "? [a]\n: 1\n", "f:1:3: a key must be a plain name" },
        { "a: 1\nb: 2\na: 3\n", "f:3:1: 'a' is here a second time; the first is at f:1:1" },
        { "x: {k: 1, k: 2}\n", "f:1:11: 'k' is here a second time; the first is at f:1:5" },
        { "a: \"x\\0y\"\n", "f:1:4: the text holds a NUL byte; remove it" },
        { "a: [[[[[[[[1]]]]]]]]\n", "f:1:11: nested too deeply" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].want);
}

static void what_is_no_yaml_has_a_place(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "a:\n\tb: 1\n", "f:2:1: a tab where YAML wants spaces; indent with spaces" },
        { "\xc3\xa4: 1\na:\n\tb: 1\n", "f:3:1: a tab where YAML wants spaces; indent with spaces" },
        { "a: \xff\n", "f:1:4: not UTF-8; save the file as UTF-8" },
        { "a: 1\nb: x\xc3\n", "f:2:6: not UTF-8; save the file as UTF-8" },
        { "a: \x01\n", "f:1:4: a control character; remove it" },
        { "a: [1, 2\n", "f:2:1: not valid YAML: did not find expected ',' or ']' while parsing a "
                        "flow sequence" },
        { "a: 1\n b: 2\n",
          "f:2:3: not valid YAML: mapping values are not allowed in this context" },
        { "a: 'x\n",
          "f:2:1: not valid YAML: found unexpected end of stream while scanning a quoted "
          "scalar" },
        { "a: [*.example.org:443]\n",
          "f:1:5: text that begins with '*' or '&' must stand in quotes" },
        { "a: & b\n", "f:1:4: text that begins with '*' or '&' must stand in quotes" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].want);
    assert_refused("a: 1\0b", 6, "f:1:5: a control character; remove it");
}

static void sizes_are_bounded(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    CLEANUP_PTR(document_free) struct document_node *root = NULL;
    struct err err = { 0 };

    (void)state;
    buf_append_char(&b, '[');
    for (int i = 0; i < DOCUMENT_ENTRIES_MAX; i++)
        buf_append_str(&b, "1,\n");
    buf_append_char(&b, ']');
    assert_int_equal(document_parse("f", b.data, b.len, &root, NULL), 0);
    b.data[b.len - 1] = '1';
    buf_append_char(&b, ']');
    assert_refused(b.data, b.len, "f:1001:1: more than 1000 entries in one place");

    buf_clear(&b);
    while (b.len <= DOCUMENT_SIZE_MAX)
        buf_append_str(&b, "# filler\n");
    assert_int_equal(document_parse("f", b.data, b.len, &root, &err), -EMSGSIZE);
    assert_string_equal(err.text, "f: larger than 1 MiB, which no settings file needs to be");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_knows_its_places),
        cmocka_unit_test(columns_count_characters_not_bytes),
        cmocka_unit_test(a_file_that_holds_nothing_has_no_tree),
        cmocka_unit_test(nothing_is_told_from_an_empty_text),
        cmocka_unit_test(what_a_settings_file_does_not_need_is_refused),
        cmocka_unit_test(what_is_no_yaml_has_a_place),
        cmocka_unit_test(sizes_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
