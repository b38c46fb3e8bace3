#include "sim/draw.h"

/* splitmix64: any seed is as good as another, neighbours too. */
void draw_seed(struct draw *d, uint64_t seed)
{
    d->state = seed * 0x9e3779b97f4a7c15U;
}

uint32_t draw_bits(struct draw *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

uint32_t draw_below(struct draw *d, uint32_t count)
{
    return (uint32_t)(((uint64_t)draw_bits(d) * count) >> 32);
}

uint32_t draw_between(struct draw *d, uint32_t a, uint32_t b)
{
    return a + draw_below(d, b - a + 1);
}

bool draw_permille(struct draw *d, uint32_t rate)
{
    return rate > 0 && draw_below(d, 1000) < rate;
}
