/* usage.h - what an attempt cost, as its program counts it. A value. Source: Nairi public API,
 * section "Cost fields on assistant messages". */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    USAGE_MODEL_MAX = 80,
    USAGE_COST_MAX = 24, /* of its decimal form: 2^64 - 1 nano-dollars fit */
};

struct usage {
    uint64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens;
    uint64_t cost_nano_usd;      /* 10^-9 US dollars; 0: not known */
    char model[USAGE_MODEL_MAX]; /* printable ASCII; of several the one that cost most; "": not
                                    known */
};

/* Dollars in 10^-9, rounded; 0, not known, for what can't be a cost. */
uint64_t usage_nano(double usd);
/* A program's name for the model, without its own marks ("[1m]"). What can't be one changes
 * nothing. name: may be NULL. */
void usage_set_model(struct usage *u, const char *name);
/* Whether anything was asked. */
bool usage_is_something(const struct usage *u);
/* "1.2345678900": US dollars with ten decimals, as the public API has it. Returns buffer. */
const char *usage_cost(const struct usage *u, char buffer[USAGE_COST_MAX]);
/* tokens as JSON can have it: at most 2^53 - 1. */
int64_t usage_count(uint64_t tokens);
