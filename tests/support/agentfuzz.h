/* agentfuzz.h - what an agent's program prints, for the fuzz targets of the runners: how it is cut
 * into pieces, flags (1: it ended with status 0, 2: bypass, 4: a session is gone on with), the
 * reply limit, then the end of standard error up to a NUL, and the lines. What becomes of them
 * doesn't depend on the cuts, is text, and is bounded. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define AGENTFUZZ_SESSION "01a201a1-c5a9-7c72-b3d5-880f8b705e54"

int agentfuzz_run(const char *runner, const uint8_t *data, size_t size);
