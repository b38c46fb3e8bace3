/* An archive of a skill: what comes of it is a crate that its reader takes, whole or refused with a
 * sentence, and no file of it could leave its folder. */
#include "support/replay.h"

#include <errno.h>

#include "sandbox/unpack.h"
#include "task/crate.h"
#include "util/err.h"

struct reader {
    struct crate crate;
    int result;
    struct err err;
};

static int on_file(const char *path, bool is_program, void *ctx, struct err *err)
{
    (void)path; /* the crate's reader has looked at it */
    (void)is_program;
    (void)ctx;
    (void)err;
    return 0;
}

static int on_piece(const void *bytes, size_t len, void *ctx, struct err *err)
{
    (void)bytes;
    (void)ctx;
    (void)err;
    FUZZ_CHECK(len > 0);
    return 0;
}

static int on_bytes(const void *bytes, size_t len, void *ctx)
{
    static const struct crate_ops ops = { .file = on_file, .piece = on_piece };
    struct reader *r = ctx;

    FUZZ_CHECK(r->result == 0);
    r->result = crate_feed(&r->crate, bytes, len, &ops, r, &r->err);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = { 0 };

    FUZZ_CHECK(unpack_archive(data, size, on_bytes, &r) == 0);
    FUZZ_CHECK(crate_is_whole(&r.crate) ? r.result == 0 : r.result == -ECANCELED && r.err.text[0]);
    crate_done(&r.crate);
    return 0;
}
