/* replay.h - what a fuzz target offers, to libFuzzer or to replay.c.
 * Source: https://llvm.org/docs/LibFuzzer.html */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Returns 0; a property that doesn't hold aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert(), in every kind of build. */
#define FUZZ_CHECK(property)                                                                       \
    do {                                                                                           \
        if (!(property)) {                                                                         \
            (void)dprintf(STDERR_FILENO, "%s:%d: %s doesn't hold\n", __FILE__, __LINE__,           \
                          #property);                                                              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
