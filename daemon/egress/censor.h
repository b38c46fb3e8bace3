/* censor.h - takes a key out of a stream: each byte of it becomes a star, so that lengths stay as
 * they were announced. As it is, and as util/mask.h knows it: in base64 wherever it begins, percent
 * and JSON escapes; and in plain hex. What may be the beginning of one of these is held back until
 * more is known, so it makes no difference how the stream is cut. What the upstream compresses,
 * encrypts or writes in another way isn't recognised: it has the key anyway, and the task isn't to
 * be its accomplice, which is what requests are listed for. Pure. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>

struct buf;
struct censor_forms;

/* All that a key is looked for as. */
struct censor_forms *censor_forms_new(const char *key, size_t len);
void censor_forms_free(struct censor_forms *f); /* wipes */
DEFINE_CLEANUP(struct censor_forms *, censor_forms_free);

struct censor {
    const struct censor_forms *forms; /* borrowed */
    size_t form, held;                /* that many bytes of that form have come last */
    size_t stars;                     /* so many of them are the end of another one */
};

/* Appends to out what can be passed on now. */
void censor_feed(struct censor *c, const char *bytes, size_t len, struct buf *out);
/* The stream is at its end: appends what was held back. */
void censor_end(struct censor *c, struct buf *out);
