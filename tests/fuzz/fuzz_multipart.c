/* The body of a form with the boundary "b", behind a byte that says in what pieces it comes: what
 * it says doesn't depend on those, and no name has a NUL. */
#include "support/replay.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "hub/deposit.h"
#include "hub/multipart.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/utf8.h"

static int on_begin(const char *name, const char *filename, void *ctx)
{
    buf_printf(ctx, "[%s|%s]", name, filename ? filename : "-");
    if (filename) {
        AUTO_FREE char *clean = deposit_clean_name(filename);

        FUZZ_CHECK(strlen(clean) > 0 && strlen(clean) <= DEPOSIT_NAME_MAX);
        FUZZ_CHECK(!strpbrk(clean, "/\\\r\n\t\x1b") && strcmp(clean, "..") != 0);
        FUZZ_CHECK(utf8_is_valid(clean, strlen(clean)));
    }
    return 0;
}

static int on_data(const char *bytes, size_t len, void *ctx)
{
    FUZZ_CHECK(len > 0);
    buf_append(ctx, bytes, len);
    return 0;
}

static int tell(const char *body, size_t len, size_t piece, struct buf *said)
{
    static const struct multipart_ops ops = { .begin = on_begin, .data = on_data };
    CLEANUP_PTR(multipart_free)
    struct multipart *p = multipart_new("multipart/form-data; boundary=b", &ops, said);
    const char *why = NULL;
    int rc = 0;

    for (size_t at = 0; at < len && rc == 0; at += piece)
        rc = multipart_feed(p, body + at, len - at < piece ? len - at : piece, &why);
    if (rc == 0)
        rc = multipart_finish(p, &why);
    FUZZ_CHECK(rc == 0 || (rc == -EBADMSG && why));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf whole = { 0 };
    CLEANUP(buf_done) struct buf cut = { 0 };
    const char *body = (const char *)data + 1;

    if (size < 2)
        return 0;
    FUZZ_CHECK(tell(body, size - 1, size - 1, &whole) == tell(body, size - 1, data[0] + 1U, &cut));
    FUZZ_CHECK(whole.len == cut.len);
    FUZZ_CHECK(whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0);
    return 0;
}
