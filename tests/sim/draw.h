/* draw.h - random numbers from a seed: the same ones on every machine. A value, copy it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct draw {
    uint64_t state;
};

void draw_seed(struct draw *d, uint64_t seed);
uint32_t draw_bits(struct draw *d);
uint32_t draw_below(struct draw *d, uint32_t count);           /* count > 0 */
uint32_t draw_between(struct draw *d, uint32_t a, uint32_t b); /* a <= b, both may come */
bool draw_permille(struct draw *d, uint32_t rate);             /* 0: never, 1000: always */
