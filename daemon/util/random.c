#include "util/random.h"

#include <sodium.h>

uint32_t random_u32(void)
{
    return randombytes_random();
}

uint64_t random_u64(void)
{
    uint64_t n;

    randombytes_buf(&n, sizeof n);
    return n;
}

void random_bytes(void *bytes, size_t len)
{
    randombytes_buf(bytes, len);
}
