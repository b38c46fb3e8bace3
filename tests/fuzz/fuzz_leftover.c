/* What a survey of hostile directories wrote, and what another one wrote earlier: a length of two
 * bytes, that many bytes of the earlier one, the rest is the later. What is read is sorted and
 * plain, its words are bounded and valid on one line, and nothing is new against itself. */
#include "support/replay.h"

#include <string.h>

#include "support/input.h"
#include "task/leftover.h"
#include "util/buf.h"
#include "util/utf8.h"

static void check_items(const struct leftovers *l)
{
    for (size_t i = 0; i < l->len; i++) {
        FUZZ_CHECK(l->items[i].path[0] != '/' && l->items[i].path[0] != '\0');
        FUZZ_CHECK(strlen(l->items[i].path) < LEFTOVER_PATH_MAX);
        FUZZ_CHECK(i == 0 || strcmp(l->items[i - 1].path, l->items[i].path) <= 0 ||
                   l->items[i - 1].place < l->items[i].place);
    }
}

static bool has_untold(const struct leftovers *l)
{
    for (size_t i = 0; i < l->len; i++)
        if (l->items[i].untold)
            return true;
    return false;
}

static void check_words(const struct leftovers *now, const struct leftovers *before)
{
    struct buf b = { 0 }, known = { 0 };
    struct leftovers next;

    leftover_describe(now, before, NULL, &b, &known);
    FUZZ_CHECK(leftover_read(known.data, known.len, &next) == 0);
    FUZZ_CHECK(next.len == now->len);
    leftover_done(&next);
    buf_done(&known);
    FUZZ_CHECK(b.len <= LEFTOVERS_WORDS_MAX);
    FUZZ_CHECK(utf8_is_valid(buf_str(&b), b.len));
    for (size_t i = 0; i < b.len; i++)
        FUZZ_CHECK((unsigned char)b.data[i] >= ' ' && b.data[i] != 0x7f);
    FUZZ_CHECK(before != now || has_untold(now) || b.len == 0);
    buf_done(&b);
}

/* Written again it is the same. */
static void check_writing(const struct leftovers *l)
{
    struct buf b = { 0 };
    struct leftovers again;

    leftover_begin(&b);
    for (size_t i = 0; i < l->len; i++)
        FUZZ_CHECK(leftover_add(&b, &l->items[i], l->items[i].path));
    leftover_end(&b, l->entries, l->gaps);
    FUZZ_CHECK(leftover_read(b.data, b.len, &again) == 0);
    FUZZ_CHECK(again.len == l->len);
    leftover_done(&again);
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    size_t len = input_number(&in, 2);
    struct leftovers before = { 0 }, now = { 0 };
    bool known;

    len = len < in.left ? len : in.left;
    known = leftover_read(in.at, len, &before) == 0;
    if (leftover_read(in.at + len, in.left - len, &now) == 0) {
        check_items(&now);
        check_words(&now, known ? &before : NULL);
        check_words(&now, &now);
        check_writing(&now);
    }
    leftover_done(&before);
    leftover_done(&now);
    return 0;
}
