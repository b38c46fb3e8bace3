/* input.h - takes values of several kinds out of the bytes that a fuzzer gives. At their end there
 * are zeros and empty texts. A plain value. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *at;
    size_t left;
};

uint8_t input_byte(struct input *in);
/* The next size bytes, at most 8, the lowest first. */
uint64_t input_number(struct input *in, size_t size);
/* Up to the next such byte, which is taken too, or to the end; NUL-terminated, to be freed. */
char *input_until(struct input *in, char end);
/* All that is left, NUL-terminated, to be freed. */
char *input_rest(struct input *in);
