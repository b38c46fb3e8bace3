#include "task/progress.h"

#include <assert.h>

#include "util/cleanup.h"

/* clang-format off */
static const char *const type_names[] = {
    [PROGRESS_TEXT]      = "text",
    [PROGRESS_TOOL_USE]  = "tool_use",
    [PROGRESS_HEARTBEAT] = "tool_heartbeat",
    [PROGRESS_SUBAGENT]  = "subagent",
    [PROGRESS_STEP]      = "step",
};
/* clang-format on */
static_assert(ARRAY_SIZE(type_names) == PROGRESS_TYPE_COUNT, "every type has a name");

const char *progress_type_name(enum progress_type type)
{
    return type_names[type];
}
