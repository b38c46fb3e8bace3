/* usage.h - what an attempt cost, as its program counts it. A value. Source: Nairi public API,
 * section "Cost fields on assistant messages". */
#pragma once
#include <stdint.h>

enum { USAGE_MODEL_MAX = 80 };

struct usage {
    uint64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens;
    uint64_t cost_nano_usd;      /* 10^-9 US dollars; 0: not known */
    char model[USAGE_MODEL_MAX]; /* printable ASCII; "" not known, or several */
};
