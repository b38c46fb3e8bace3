/* Any bytes as text: what is cleaned is valid, holds no control but tab and newline, and stays as
 * it is when cleaned again. Cuts of valid text are valid and as long as asked for. */
#include "support/replay.h"

#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/utf8.h"

static void check_cuts(const char *s, size_t len, size_t max)
{
    size_t cut = utf8_cut(s, len, max), tail = utf8_tail(s, len, max);

    FUZZ_CHECK(cut <= max && cut <= len && tail <= len && len - tail <= max);
    FUZZ_CHECK(utf8_is_valid(s, cut) && utf8_is_valid(s + tail, len - tail));
    if (len > max) /* at most one character was lost */
        FUZZ_CHECK(cut + 4 > max && len - tail + 4 > max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf once = { 0 }, twice = { 0 };
    const char *s = (const char *)data;
    size_t prefix = utf8_prefix(s, size);

    FUZZ_CHECK(prefix <= size && utf8_is_valid(s, prefix));
    FUZZ_CHECK(utf8_is_valid(s, size) == (prefix == size));
    utf8_clean(&once, s, size);
    FUZZ_CHECK(utf8_is_valid(buf_str(&once), once.len));
    FUZZ_CHECK(once.len <= size * 3);
    for (size_t i = 0; i < once.len; i++) {
        unsigned char c = (unsigned char)once.data[i];

        FUZZ_CHECK((c >= ' ' && c != 0x7f) || c == '\t' || c == '\n');
        FUZZ_CHECK(c != 0xc2 || (unsigned char)once.data[i + 1] >= 0xa0);
    }
    utf8_clean(&twice, buf_str(&once), once.len);
    FUZZ_CHECK(once.len == twice.len && memcmp(buf_str(&once), buf_str(&twice), once.len) == 0);
    for (size_t max = 0; max < 16; max++)
        check_cuts(buf_str(&once), once.len, max);
    check_cuts(buf_str(&once), once.len, once.len > 0 ? once.len - 1 : 0);
    return 0;
}
