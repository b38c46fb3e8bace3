#include "support/input.h"

#include <string.h>

#include "util/mem.h"

uint8_t input_byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

uint64_t input_number(struct input *in, size_t size)
{
    uint64_t n = 0;

    for (size_t i = 0; i < size; i++)
        n |= (uint64_t)input_byte(in) << (8 * i);
    return n;
}

static char *take(struct input *in, size_t len, size_t skipped)
{
    char *text = mem_dup(in->at, len);

    in->at += len + skipped;
    in->left -= len + skipped;
    return text;
}

char *input_until(struct input *in, char end)
{
    const uint8_t *found = in->left > 0 ? memchr(in->at, end, in->left) : NULL;

    return found ? take(in, (size_t)(found - in->at), 1) : input_rest(in);
}

char *input_rest(struct input *in)
{
    return take(in, in->left, 0);
}
