/* Lines from pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runner/lines.h"
#include "util/buf.h"
#include "util/cleanup.h"

static void note(const char *line, size_t len, void *ctx)
{
    struct buf *seen = ctx;

    assert_true(len > 0);
    assert_null(memchr(line, '\n', len));
    buf_append(seen, line, len);
    buf_append_char(seen, '|');
}

static void lines_are_the_same_however_they_are_cut(void **state)
{
    static const char text[] = "one\n\n\ntwo words\nthree\nrest";

    (void)state;
    for (size_t piece = 1; piece < sizeof text; piece++) {
        CLEANUP(lines_done) struct lines lines = { 0 };
        CLEANUP(buf_done) struct buf seen = { 0 };

        for (size_t at = 0; at < sizeof text - 1; at += piece)
            lines_feed(&lines, text + at,
                       sizeof text - 1 - at < piece ? sizeof text - 1 - at : piece, note, &seen);
        assert_string_equal(buf_str(&seen), "one|two words|three|");
        lines_end(&lines, note, &seen);
        lines_end(&lines, note, &seen); /* once only */
        assert_string_equal(buf_str(&seen), "one|two words|three|rest|");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_the_same_however_they_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
