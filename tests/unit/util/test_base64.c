#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/base64.h"
#include "util/cleanup.h"

/* In pieces of so many characters. The count, or -EILSEQ where it isn't whole, too. */
static ssize_t decode(const char *s, size_t piece, unsigned char *out)
{
    struct base64 b = { 0 };
    size_t len = strlen(s), n = 0;

    for (size_t at = 0; at < len; at += piece) {
        size_t take = len - at < piece ? len - at : piece;
        ssize_t r = base64_decode(&b, s + at, take, out + n);

        if (r < 0)
            return r;
        assert_true((size_t)r <= base64_room(take));
        n += (size_t)r;
    }
    return base64_is_whole(&b) ? (ssize_t)n : -EILSEQ;
}

static void every_length_of_rfc_4648_is_read_in_any_pieces(void **state)
{
    static const char *const pairs[][2] = {
        { "", "" },
        { "Zg==", "f" },
        { "Zm8=", "fo" },
        { "Zm9v", "foo" },
        { "Zm9vYg==", "foob" },
        { "Zm9vYmE=", "fooba" },
        { "Zm9vYmFy", "foobar" },
        { "+/+/AAAA", "\xfb\xff\xbf\0\0\0" },
    };
    unsigned char out[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        for (size_t piece = 1; piece <= 9; piece++) {
            size_t want = i == 7 ? 6 : strlen(pairs[i][1]);

            assert_int_equal(decode(pairs[i][0], piece, out), want);
            assert_memory_equal(out, pairs[i][1], want);
        }
}

static void what_is_no_standard_base64_is_refused(void **state)
{
    static const char *const wrong[] = {
        "Z",    "Zg",     "Zg=",   "Zm8",  "=",    "====", "Z===",  "Zg==Zg==", "Zm8=Zm8=", "Zh==",
        "Zm9=", "Zm9v\n", "Zm 9v", "Zm9-", "Zm9_", "Zg=a", "Zg===", "Zm8=====", "Zm9v\xff", "Zm9v=",
    };
    unsigned char out[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        for (size_t piece = 1; piece <= 9; piece++)
            if (decode(wrong[i], piece, out) != -EILSEQ)
                fail_msg("'%s' in pieces of %zu is taken", wrong[i], piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_of_rfc_4648_is_read_in_any_pieces),
        cmocka_unit_test(what_is_no_standard_base64_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
