#include "hub/cost.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"

enum { WHOLE_MAX = 12, DECIMALS_MAX = 10 };

/* "0.0123456789": no sign, no exponent. */
static bool is_decimal(const char *s)
{
    size_t whole = strspn(s, "0123456789"), decimals;

    if (whole < 1 || whole > WHOLE_MAX)
        return false;
    if (s[whole] == '\0')
        return true;
    decimals = strspn(s + whole + 1, "0123456789");
    return s[whole] == '.' && decimals >= 1 && decimals <= DECIMALS_MAX &&
           s[whole + 1 + decimals] == '\0';
}

static bool is_number(const struct json *node)
{
    AUTO_FREE char *text = json_print(node);

    return text[0] >= '0' && text[0] <= '9';
}

static bool is_model(const char *s)
{
    size_t len = strlen(s);

    if (len < 1 || len > COST_MODEL_MAX)
        return false;
    for (; *s; s++)
        if (*s < ' ' || *s > '~')
            return false;
    return true;
}

char *cost_pick(const struct json *usage)
{
    static const char *const counts[] = { "input_tokens", "output_tokens", "cache_read_tokens",
                                          "cache_write_tokens" };
    CLEANUP_PTR(json_free) struct json *picked = json_object();
    const struct json *cost = json_get(usage, "cost_usd");
    const char *model = json_get_str(usage, "model");
    uint64_t n;

    if (cost && (json_is_string(cost) ? is_decimal(json_str(cost)) : is_number(cost)))
        json_add(picked, "cost_usd", json_copy(cost));
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        if (json_get_u64(usage, counts[i], &n) == 0)
            json_add_i64(picked, counts[i], (int64_t)n); /* below 2^53 */
    if (model && is_model(model))
        json_add_str(picked, "model", model);
    return json_len(picked) > 0 ? json_print(picked) : NULL;
}
