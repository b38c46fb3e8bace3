/* explain.h - what a task of the daemon's would be given, in words: for `nairid sandbox --explain`
 * without a command. */
#pragma once

struct buf;
struct err;
struct plan_ground;
struct settings;

/* The plan of a first message in execute mode, as plan_explain() tells it. Values of the
 * environment are not told. -EINVAL with a sentence where nothing can be planned. */
int explain_task(const struct settings *s, const struct plan_ground *ground, struct buf *b,
                 struct err *err);
