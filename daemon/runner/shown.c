#include "runner/shown.h"

#include <string.h>

#include "util/mem.h"
#include "util/utf8.h"

const char *shown_text(struct shown *shown, struct buf *b, const char *s, size_t max)
{
    size_t len = s ? strlen(s) : 0, keep = s ? utf8_cut(s, len, max) : 0;

    if (!s)
        return NULL;
    utf8_clean(b, s, keep);
    shown->cut |= keep < len;
    return buf_str(b)[strspn(buf_str(b), " \t\n")] == '\0' ? NULL : buf_str(b);
}

void shown_report(const struct shown *shown, runner_event_fn fn, void *ctx)
{
    const struct runner_event ev = { .type = RUNNER_PROGRESS,
                                     .progress = &shown->progress,
                                     .cut = shown->cut };

    fn(&ev, ctx);
}

void shown_done(struct shown *shown)
{
    struct buf *bufs[] = { &shown->text, &shown->input, &shown->output, &shown->summary,
                           &shown->tool, &shown->id,    &shown->parent };

    for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
        buf_done(bufs[i]);
}
