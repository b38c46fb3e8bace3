/* The present daemon's .env: whatever is in it, values stay within their bounds, names are names,
 * faults name a place and nothing of the line; and what was read, written down again in single
 * quotes, is read as the same. */
#include "support/replay.h"

#include <string.h>

#include "settings/dotenv.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/utf8.h"

static void check_again(const struct dotenv *d)
{
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP(dotenv_done) struct dotenv again = { 0 };
    size_t left_out = 0;

    for (size_t i = 0; i < d->len; i++) {
        if (strchr(d->items[i].value, '\'')) /* there is no way to write it there */
            left_out++;
        else
            buf_printf(&text, "export %s = '%s' # x\r\n", d->items[i].name, d->items[i].value);
    }
    dotenv_parse("again", buf_str(&text), text.len, &again);
    FUZZ_CHECK(again.faults.len == 0 && again.len + left_out == d->len);
    for (size_t i = 0; i < again.len; i++)
        FUZZ_CHECK(str_eq(dotenv_find(d, again.items[i].name)->value, again.items[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(dotenv_done) struct dotenv d = { 0 };
    size_t bytes = 0;

    dotenv_parse("f", (const char *)data, size, &d);
    FUZZ_CHECK(d.len <= DOTENV_ENTRIES_MAX && d.faults.len <= DOTENV_FAULTS_MAX);
    for (size_t i = 0; i < d.len; i++) {
        size_t len = strlen(d.items[i].value);

        FUZZ_CHECK(len <= DOTENV_VALUE_MAX && utf8_is_valid(d.items[i].value, len));
        FUZZ_CHECK(d.items[i].name[0] != '\0' && d.items[i].line > 0 && d.items[i].column > 0);
        FUZZ_CHECK(dotenv_find(&d, d.items[i].name) == &d.items[i]);
        bytes += len;
    }
    FUZZ_CHECK(bytes <= DOTENV_SIZE_MAX);
    for (size_t i = 0; i < d.faults.len; i++)
        FUZZ_CHECK(str_starts_with(d.faults.items[i], "f:") &&
                   str_ends_with(d.faults.items[i], "; the line is left out"));
    check_again(&d);
    return 0;
}
