/* What a task says, on a terminal: the first byte is the width. Nothing that moves the cursor or
 * the text's direction comes through, and a line fits. */
#include "support/replay.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "main/terminal.h"
#include "support/input.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/utf8.h"

static void check_clean(const struct buf *b, bool is_line)
{
    const unsigned char *s = (const unsigned char *)buf_str(b);

    FUZZ_CHECK(utf8_is_valid(buf_str(b), b->len));
    for (size_t i = 0; i < b->len; i++) {
        FUZZ_CHECK((s[i] >= ' ' && s[i] != 0x7f) || (!is_line && (s[i] == '\t' || s[i] == '\n')));
        FUZZ_CHECK(s[i] != 0xc2 || s[i + 1] >= 0xa0); /* C1 */
        FUZZ_CHECK(s[i] != 0xd8 || s[i + 1] != 0x9c); /* ALM */
        FUZZ_CHECK(s[i] != 0xe2 || s[i + 1] != 0x80 || s[i + 2] < 0x8e || s[i + 2] > 0x8f);
        FUZZ_CHECK(s[i] != 0xe2 || s[i + 1] != 0x80 || s[i + 2] < 0xaa || s[i + 2] > 0xae);
        FUZZ_CHECK(s[i] != 0xe2 || s[i + 1] != 0x81 || s[i + 2] < 0xa6 || s[i + 2] > 0xa9);
    }
}

static size_t columns_of(const struct buf *b)
{
    mbstate_t state = { 0 };
    size_t columns = 0;
    wchar_t c;

    for (size_t i = 0, n; i < b->len; i += n) {
        int width;

        n = mbrtowc(&c, b->data + i, b->len - i, &state);
        FUZZ_CHECK(n > 0 && n <= b->len - i);
        width = wcwidth(c);
        columns += width > 0 ? (size_t)width : 0;
    }
    return columns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf clean = { 0 }, twice = { 0 }, line = { 0 };
    struct input in = { data, size };
    size_t columns = input_byte(&in), len = in.left;
    AUTO_FREE char *text = input_rest(&in);

    FUZZ_CHECK(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
    terminal_clean(&clean, text, len);
    check_clean(&clean, false);
    terminal_clean(&twice, buf_str(&clean), clean.len);
    FUZZ_CHECK(clean.len == twice.len && strcmp(buf_str(&clean), buf_str(&twice)) == 0);
    terminal_fit(&line, text, columns);
    check_clean(&line, true);
    FUZZ_CHECK(columns_of(&line) <= columns);
    return 0;
}
