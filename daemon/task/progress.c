#include "task/progress.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

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

/* Where the members are, and how long a copy of each may be. */
static const struct member {
    size_t offset, max;
} members[] = {
    { offsetof(struct progress, text), PROGRESS_TEXT_MAX },
    { offsetof(struct progress, tool), PROGRESS_NAME_MAX },
    { offsetof(struct progress, input), PROGRESS_TEXT_MAX },
    { offsetof(struct progress, status), PROGRESS_NAME_MAX },
    { offsetof(struct progress, output), PROGRESS_TEXT_MAX },
    { offsetof(struct progress, summary), PROGRESS_TEXT_MAX },
    { offsetof(struct progress, tool_use_id), PROGRESS_NAME_MAX },
    { offsetof(struct progress, parent_tool_use_id), PROGRESS_NAME_MAX },
};
static_assert(sizeof(struct progress) ==
                  offsetof(struct progress, text) + ARRAY_SIZE(members) * sizeof(char *),
              "every text has its row");

static const char *text_at(const struct progress *p, const struct member *m)
{
    const char *text;

    memcpy(&text, (const char *)p + m->offset, sizeof text);
    return text;
}

struct progress *progress_copy(const struct progress *p)
{
    size_t lengths[ARRAY_SIZE(members)] = { 0 }, total = sizeof *p;
    struct progress *copy;
    char *place;

    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        const char *text = text_at(p, &members[i]);

        if (text) {
            lengths[i] = utf8_cut(text, strlen(text), members[i].max);
            total += lengths[i] + 1;
        }
    }
    copy = mem_alloc(total);
    *copy = *p;
    place = (char *)(copy + 1);
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        const char *text = text_at(p, &members[i]);

        if (!text)
            continue;
        memcpy(place, text, lengths[i]); /* zeroed memory: the NUL is there */
        memcpy((char *)copy + members[i].offset, &place, sizeof place);
        place += lengths[i] + 1;
    }
    return copy;
}

void progress_describe(const struct progress *p, struct buf *b)
{
    const char *const what[] = { p->input, p->text, p->summary };

    if (!str_is_empty(p->tool))
        buf_append_str(b, p->tool);
    for (size_t i = 0; i < ARRAY_SIZE(what); i++) {
        if (str_is_empty(what[i]))
            continue;
        if (!str_is_empty(p->tool))
            buf_append_str(b, ": ");
        buf_append_str(b, what[i]);
        return;
    }
}
