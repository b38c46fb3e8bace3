/* remedy.h - the words for a limit of the sandbox that a task met: which one, how much it is, and
 * the setting that raises it. Pure. */
#pragma once
#include "core/ending.h"

struct buf;

/* "64 MiB" where it is a round number of them, else bytes. */
void remedy_size(struct buf *b, uint64_t bytes);
/* Behind "was ended because ": why. */
void remedy_limit(struct buf *b, enum limit limit, const struct ending_limits *limits);
/* A limit that ends nobody but makes a call fail is known by what the program says about that, or
 * by its signal: appends a note on it, if there is one to be recognised. */
void remedy_hint(struct buf *b, const struct ending *e, const struct ending_limits *limits);
