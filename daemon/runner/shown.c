#include "runner/shown.h"

#include <string.h>

#include "util/cleanup.h"
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

void shown_step(const char *summary, const char *status, runner_event_fn fn, void *ctx)
{
    CLEANUP(shown_done)
    struct shown s = { .progress = { .type = PROGRESS_STEP, .status = status } };

    s.progress.summary = shown_text(&s, &s.summary, summary, SHOWN_SHORT_MAX);
    shown_report(&s, fn, ctx);
}

void shown_say(const char *text, const char *parent, runner_event_fn fn, void *ctx)
{
    CLEANUP(shown_done) struct shown s = { .progress = { .type = PROGRESS_TEXT } };

    s.progress.text = shown_text(&s, &s.text, text, SHOWN_TEXT_MAX);
    s.progress.parent_tool_use_id = shown_text(&s, &s.parent, parent, SHOWN_ID_MAX);
    if (s.progress.text)
        shown_report(&s, fn, ctx);
}
