/* What an unpacking process may write, hostile: in pieces of the first byte's size. Whatever is
 * told of it is within the bounds and can't leave its folder; cut otherwise it is told the same. */
#include "support/replay.h"

#include <string.h>

#include "support/input.h"
#include "task/crate.h"
#include "util/buf.h"
#include "util/err.h"

struct told {
    size_t files;
    uint64_t bytes, hash;
};

static void mix(struct told *t, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        t->hash = (t->hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
}

static int on_file(const char *path, bool is_program, void *ctx, struct err *err)
{
    struct told *t = ctx;

    (void)err;
    FUZZ_CHECK(!crate_refusal(path, strlen(path)) && path[0] != '/' && !strstr(path, "/../"));
    t->files++;
    mix(t, path, strlen(path) + is_program);
    return 0;
}

static int on_piece(const void *bytes, size_t len, void *ctx, struct err *err)
{
    struct told *t = ctx;

    (void)err;
    FUZZ_CHECK(t->files > 0);
    t->bytes += len;
    mix(t, bytes, len);
    return 0;
}

static int read_all(const struct input *in, size_t step, struct told *ret_told)
{
    static const struct crate_ops ops = { .file = on_file, .piece = on_piece };
    struct crate c = { 0 };
    struct err err = { 0 };
    bool whole;
    int r = 0;

    for (size_t at = 0; at < in->left && r == 0; at += step)
        r = crate_feed(&c, in->at + at, step < in->left - at ? step : in->left - at, &ops, ret_told,
                       &err);
    FUZZ_CHECK(r == 0 || err.code == r);
    FUZZ_CHECK(ret_told->files <= CRATE_FILES_MAX && ret_told->bytes <= CRATE_BYTES_MAX);
    whole = crate_is_whole(&c);
    crate_done(&c);
    return r < 0 ? r : whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    size_t step = (size_t)input_byte(&in) + 1;
    struct told cut = { 0 }, whole = { 0 };
    int r = read_all(&in, step, &cut);

    /* what comes behind the end is refused sooner or later */
    if (r == 1)
        FUZZ_CHECK(read_all(&in, in.left, &whole) == 1 && whole.hash == cut.hash);
    return 0;
}
