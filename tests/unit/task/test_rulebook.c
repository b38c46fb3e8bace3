/* Rules of several files as one text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "task/rulebook.h"
#include "util/buf.h"
#include "util/cleanup.h"

static void add(struct buf *b, const char *name, const char *text)
{
    rulebook_add(b, name, text, strlen(text));
}

static void each_rule_has_its_title_description_and_body(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    add(&b, "one.md",
        "---\ntitle: \"Greetings\"\ndescription: how to\n---\n\nSay hello.\n---\nTwice.\n\n");
    add(&b, "two.md", "Be brief.");
    assert_string_equal(buf_str(&b), "# Rules\n\nThese rules hold for all of your work here.\n"
                                     "\n## Greetings\n\nhow to\n\nSay hello.\n---\nTwice.\n"
                                     "\n## two.md\n\nBe brief.\n");
}

static void what_only_looks_like_front_matter_is_text(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "---\ntitle: x\nno end", "\n## n\n\n---\ntitle: x\nno end\n" },
        { "--- \ntitle: x\n---\nb", "\n## n\n\n--- \ntitle: x\n---\nb\n" },
        { "---\r\ntitle: x\r\n---\r\nb\r\n", "\n## x\n\nb\n" },
        { "---\ntitle:\ntitles: y\n---\nb", "\n## n\n\nb\n" },
        { "---\n---", "\n## n\n\n\n" },
        { "", "\n## n\n\n\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };

        buf_append_str(&b, "x"); /* so that no heading comes */
        add(&b, "n", rows[i].text);
        assert_string_equal(buf_str(&b) + 1, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_has_its_title_description_and_body),
        cmocka_unit_test(what_only_looks_like_front_matter_is_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
