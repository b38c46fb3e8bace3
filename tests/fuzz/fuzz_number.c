/* Numbers, durations, sizes, percentages and moments as text: what is taken is printed so that it
 * is taken again as the same, and what is refused leaves the result alone. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "settings/number.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

static void try_type(enum table_type type, const char *text)
{
    char shown[VALUES_TEXT_MAX];
    uint64_t n = 77, again = 0;
    int r = number_parse(type, text, &n);

    if (r < 0) {
        FUZZ_CHECK((r == -EINVAL || r == -ERANGE));
        return;
    }
    FUZZ_CHECK(text[0] >= '0' && text[0] <= '9');
    FUZZ_CHECK(strlen(number_text(shown, type, n)) < sizeof shown);
    FUZZ_CHECK(number_parse(type, shown, &again) == 0 && again == n);
}

static void try_plain(const char *text)
{
    char shown[24], span[32];
    uint64_t n = 77, again = 0;
    int r = str_to_u64(text, UINT64_MAX, &n);
    bool digits = *text != '\0' && text[strspn(text, "0123456789")] == '\0';

    FUZZ_CHECK(r == 0 || (n == 77 && r == (digits ? -ERANGE : -EINVAL)));
    if (r < 0)
        return;
    FUZZ_CHECK(digits && str_to_u64(str_u64(shown, n), UINT64_MAX, &again) == 0 && again == n);
    FUZZ_CHECK(n == 0 || (str_to_u64(text, n - 1, &again) == -ERANGE && again == n));
    FUZZ_CHECK(strlen(clock_span(span, n)) < sizeof span);
}

static void try_moment(const char *text)
{
    char shown[32];
    int64_t ms = 77, again = 0;

    if (clock_parse_rfc3339(text, &ms) < 0) {
        FUZZ_CHECK(ms == 77);
        return;
    }
    FUZZ_CHECK(strlen(clock_rfc3339(shown, ms)) == strlen("2026-04-12T18:45:12.000Z"));
    /* an offset may lead out of the four digits of the year that there are to print */
    if (ms >= -62167219200000 && ms <= 253402300799999)
        FUZZ_CHECK(clock_parse_rfc3339(shown, &again) == 0 && again == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum table_type types[] = { TABLE_NUMBER, TABLE_PERCENT, TABLE_MS, TABLE_S,
                                             TABLE_SIZE };
    AUTO_FREE char *text = mem_dup(data, size);

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        try_type(types[i], text);
    try_plain(text);
    try_moment(text);
    return 0;
}
