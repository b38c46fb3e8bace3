#include "net/retry_after.h"

#include <errno.h>
#include <stddef.h>

#include "net/http_date.h"
#include "util/str.h"

uint32_t retry_after_parse(const char *value, int64_t server_now_ms)
{
    uint64_t seconds;
    int64_t at_ms;
    int rc;

    if (!value)
        return 0;
    rc = str_to_u64(value, RETRY_AFTER_MAX_MS / 1000, &seconds);
    if (rc == -ERANGE)
        return RETRY_AFTER_MAX_MS;
    if (rc == 0)
        return (uint32_t)seconds * 1000;
    if (http_date_parse(value, server_now_ms, &at_ms) < 0 || at_ms <= server_now_ms)
        return 0;
    if (at_ms - server_now_ms > RETRY_AFTER_MAX_MS)
        return RETRY_AFTER_MAX_MS;
    return (uint32_t)(at_ms - server_now_ms);
}
