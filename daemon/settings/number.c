#include "settings/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "util/str.h"

const char *number_text(char buffer[VALUES_TEXT_MAX], enum table_type type, uint64_t n)
{
    if (type == TABLE_MS)
        return values_duration_text(buffer, n);
    if (type == TABLE_S)
        return values_duration_text(buffer, n * 1000);
    if (type == TABLE_SIZE)
        return values_size_text(buffer, n);
    (void)snprintf(buffer, VALUES_TEXT_MAX, "%" PRIu64 "%s", n, type == TABLE_PERCENT ? "%" : "");
    return buffer;
}

int number_parse(enum table_type type, const char *text, uint64_t *ret_n)
{
    int r;

    if (type == TABLE_MS)
        return values_duration(text, ret_n);
    if (type == TABLE_SIZE)
        return values_size(text, ret_n);
    if (type == TABLE_PERCENT)
        return values_percent(text, ret_n);
    if (type == TABLE_NUMBER)
        return str_to_u64(text, UINT64_MAX, ret_n);
    r = values_duration(text, ret_n);
    if (r == 0 && *ret_n % 1000 != 0)
        return -EINVAL;
    if (r == 0)
        *ret_n /= 1000;
    return r;
}

const char *number_form(enum table_type type)
{
    if (type == TABLE_MS)
        return "a duration with its unit, such as 500ms, 50s or 1h30m";
    if (type == TABLE_S)
        return "a duration of whole seconds with its unit, such as 90s, 12h or 7d";
    if (type == TABLE_SIZE)
        return "a size with its unit, such as 256K, 64M or 4G";
    if (type == TABLE_PERCENT)
        return "a percentage, such as 200%";
    return "a whole number";
}
