/* The values of the headers Retry-After and Date. */
#include "support/replay.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "net/http_date.h"
#include "net/retry_after.h"
#include "util/cleanup.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t now_ms[] = { 0, 784111777000, 1767225600000, 253402300799000 };
    AUTO_FREE char *text = mem_dup(data, size);

    for (size_t i = 0; i < ARRAY_SIZE(now_ms); i++) {
        int64_t at_ms = 0;
        uint32_t ms = retry_after_parse(text, now_ms[i]);
        int r = http_date_parse(text, now_ms[i], &at_ms);

        FUZZ_CHECK(ms <= RETRY_AFTER_MAX_MS);
        FUZZ_CHECK(r == 0 || (r == -EINVAL && at_ms == 0));
        FUZZ_CHECK(r < 0 || (at_ms >= -62135596800000 && at_ms <= 253402300800000));
        FUZZ_CHECK(r < 0 || at_ms <= now_ms[i] || at_ms - now_ms[i] >= RETRY_AFTER_MAX_MS ||
                   ms == at_ms - now_ms[i]);
    }
    return 0;
}
