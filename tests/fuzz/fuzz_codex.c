/* What Codex prints (support/agentfuzz.h). */
#include "support/replay.h"

#include "support/agentfuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return agentfuzz_run("codex", data, size);
}
