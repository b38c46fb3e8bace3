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
    CLEANUP_PTR(censor_forms_free) struct censor_forms *forms = censor_forms_new(key, strlen(key));
    struct censor c = { .forms = forms };

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
        { "abab", "abababab ababab", "******** ******" },
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

/* Written by a shell's base64, xxd and python3, not by us. */
static void other_ways_to_write_the_key_become_stars_too(void **state)
{
    static const char key[] = "sk-ant/0123+\"?>4567";
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "c2stYW50LzAxMjMrIj8+NDU2Nw==", "****************************" },
        { "eHNrLWFudC8wMTIzKyI/PjQ1Njc=", "eH**************************" },
        { "eHhzay1hbnQvMDEyMysiPz40NTY3", "eHh*************************" },
        { "c2stYW50LzAxMjMrIj8-NDU2Nw", "**************************" },
        { "736b2d616e742f303132332b223f3e34353637", "**************************************" },
        { "736B2D616E742F303132332B223F3E34353637", "**************************************" },
        { "{\"k\":\"sk-ant/0123+\\\"?>4567\"}", "{\"k\":\"********************\"}" },
        { "?k=sk-ant%2F0123%2B%22%3F%3E4567&", "?k=*****************************&" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t size = 1; size <= 50; size++) {
            CLEANUP(buf_done) struct buf out = { 0 };
            const char *found;

            feed(key, cases[i].text, size, &out);
            assert_int_equal(out.len, strlen(cases[i].text));
            found = buf_str(&out);
            if (strcmp(found, cases[i].want) != 0)
                fail_msg("%s in pieces of %zu: %s", cases[i].text, size, found);
        }
    }
}

/* However it is cut, it comes out as if it had come at once: of forms that overlap, too. */
static void the_cut_makes_no_difference(void **state)
{
    static const char key[] = "aaaaaaaabaaaaaaaabab";
    static const char text[] =
        "YWFhYWFhYWFiYWFhYWFhYWFiYWI=FhYWFhYmFhYWFhYWFhYmFiaaaaaaaabaaaaaaaabaaaaaa"
        "aabababaaaaaaaab61616161616161616261616161616161616261626161";
    CLEANUP(buf_done) struct buf whole = { 0 };

    (void)state;
    feed(key, text, sizeof text, &whole);
    assert_non_null(strchr(buf_str(&whole), '*'));
    for (size_t size = 1; size < sizeof text; size++) {
        CLEANUP(buf_done) struct buf out = { 0 };

        feed(key, text, size, &out);
        assert_string_equal(buf_str(&out), buf_str(&whole));
    }
}

static void what_cannot_be_the_key_is_not_held_back(void **state)
{
    CLEANUP_PTR(censor_forms_free) struct censor_forms *forms = censor_forms_new("secret", 6);
    struct censor c = { .forms = forms };
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
        cmocka_unit_test(other_ways_to_write_the_key_become_stars_too),
        cmocka_unit_test(the_cut_makes_no_difference),
        cmocka_unit_test(what_cannot_be_the_key_is_not_held_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
