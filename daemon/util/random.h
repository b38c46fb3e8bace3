/* random.h - random bits from the kernel by way of libsodium. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* These never fail and never block. */
uint32_t random_u32(void);
uint64_t random_u64(void);
void random_bytes(void *bytes, size_t len);
