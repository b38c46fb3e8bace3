#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <cmocka.h>

#include "egress/censor.h"
#include "util/buf.h"
#include "util/cleanup.h"

/* What comes out of text in pieces of that size. */
static void feed(const char *key, const char *text, size_t size, struct buf *out)
{
    struct censor c = { key, strlen(key), 0 };

    for (size_t at = 0, n; at < strlen(text); at += n) {
        n = strlen(text) - at < size ? strlen(text) - at : size;
        censor_feed(&c, text + at, n, out);
    }
    censor_end(&c, out);
}

static void the_key_becomes_stars_however_it_is_cut(void **state)
{
    static const struct {
        const char *key, *text, *want;
    } cases[] = {
        { "secret", "a secret, a secre and secretsecret", "a ******, a secre and ************" },
        { "aab", "aaab aaaab aab", "a*** aa*** ***" },
        { "abab", "abababab ababab", "******** ****ab" },
        { "x", "axb", "a*b" },
        { "secret", "secre", "secre" },
        { "secret", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t size = 1; size <= 40; size++) {
            CLEANUP(buf_done) struct buf out = { 0 };

            feed(cases[i].key, cases[i].text, size, &out);
            if (strcmp(buf_str(&out), cases[i].want) != 0)
                fail_msg("%s in pieces of %zu: %s", cases[i].text, size, buf_str(&out));
        }
    }
}

static void what_cannot_be_the_key_is_not_held_back(void **state)
{
    struct censor c = { "secret", 6, 0 };
    CLEANUP(buf_done) struct buf out = { 0 };

    (void)state;
    censor_feed(&c, "data: 1\n\n", 9, &out);
    assert_int_equal(out.len, 9);
    censor_feed(&c, "data: sec", 9, &out);
    assert_int_equal(out.len, 15);
    censor_feed(&c, "ond\n\n", 5, &out);
    assert_string_equal(buf_str(&out), "data: 1\n\ndata: second\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_becomes_stars_however_it_is_cut),
        cmocka_unit_test(what_cannot_be_the_key_is_not_held_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
