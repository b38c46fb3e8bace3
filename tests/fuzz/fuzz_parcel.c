/* The answer to the download of an attachment, cut in two where the first byte says: a whole reader
 * of JSON and a whole decoder of base64 say the same of it as those that keep nothing. */
#include "support/replay.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "support/input.h"
#include "upstream/parcel.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/filetype.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

enum { MAX_BYTES = 3000 };

struct taken {
    struct buf file;
    struct filetype type;
};

static int take(const void *bytes, size_t len, void *ctx)
{
    struct taken *taken = ctx;

    FUZZ_CHECK(len > 0);
    buf_append(&taken->file, bytes, len);
    filetype_feed(&taken->type, bytes, len);
    return 0;
}

/* In two pieces, the second of them byte by byte. */
static int read_pieces(struct parcel *p, const char *s, size_t len, size_t cut, struct err *err)
{
    int r = parcel_feed(p, s, cut, err);

    for (size_t i = cut; i < len && r == 0; i++)
        r = parcel_feed(p, s + i, 1, err);
    return r < 0 ? r : parcel_end(p, err);
}

static void check_type(const struct taken *taken)
{
    struct filetype whole = { 0 };

    filetype_feed(&whole, buf_str(&taken->file), taken->file.len);
    FUZZ_CHECK(str_eq(filetype_extension(&whole), filetype_extension(&taken->type)));
}

/* What was taken as a file is what the same text says by the other way. */
static void check_against_json(const char *s, size_t len, const struct taken *taken)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    const char *data;
    struct base64 b = { 0 };
    AUTO_FREE unsigned char *file = NULL;
    ssize_t n;

    if (json_parse(s, len, &root, NULL) < 0)
        return; /* which is stricter: bytes that aren't UTF-8 in what nobody reads */
    data = json_get_str(root, "data");
    FUZZ_CHECK(data);
    file = mem_alloc(base64_room(strlen(data)));
    n = base64_decode(&b, data, strlen(data), file);
    FUZZ_CHECK(n > 0 && (size_t)n == taken->file.len && base64_is_whole(&b));
    FUZZ_CHECK(memcmp(file, taken->file.data, (size_t)n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    size_t cut = input_byte(&in), len = in.left;
    AUTO_FREE char *text = input_rest(&in);
    struct taken taken = { 0 };
    struct err err = { 0 };
    struct parcel p;
    int r;

    parcel_init(&p, MAX_BYTES, take, &taken);
    r = read_pieces(&p, text, len, cut < len ? cut : len, &err);
    FUZZ_CHECK(taken.file.len <= MAX_BYTES && strlen(p.id) <= PARCEL_ID_MAX);
    FUZZ_CHECK(r == 0 || (err.code == r && err.text[0]));
    FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -EILSEQ || r == -EFBIG || r == -ENODATA);
    check_type(&taken);
    if (r == 0)
        check_against_json(text, len, &taken);
    buf_done(&taken.file);
    return 0;
}
