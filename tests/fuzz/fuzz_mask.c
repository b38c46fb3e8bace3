/* The first byte is the length of a secret, which follows; the rest is a text. Masked, the text
 * doesn't hold the secret any more, nor do its base64 and its hex, whatever stands around it. */
#include "support/replay.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mask.h"
#include "util/mem.h"

static size_t apply(const struct mask *m, const void *text, size_t len, struct buf *ret_masked)
{
    size_t hits;

    buf_append(ret_masked, text, len);
    hits = mask_apply(m, ret_masked);
    FUZZ_CHECK(ret_masked->len <= len && strlen(ret_masked->data) <= ret_masked->len);
    if (hits == 0)
        FUZZ_CHECK(ret_masked->len == len && memcmp(ret_masked->data, text, len) == 0);
    return hits;
}

static void check_base64(const struct mask *m, const uint8_t *text, size_t len, int variant)
{
    size_t size = sodium_base64_encoded_len(len, variant);
    CLEANUP(buf_done) struct buf masked = { 0 };
    AUTO_FREE char *encoded = mem_alloc(size);

    (void)sodium_bin2base64(encoded, size, text, len, variant);
    FUZZ_CHECK(apply(m, encoded, strlen(encoded), &masked) > 0);
}

/* As a dump prints it, in lines of 16. */
static void check_hex(const struct mask *m, const uint8_t *text, size_t len)
{
    CLEANUP(buf_done) struct buf dump = { 0 }, masked = { 0 };

    for (size_t i = 0; i < len; i++)
        buf_printf(&dump, i % 16 == 15 ? "%02x\n" : "%02x ", text[i]);
    FUZZ_CHECK(apply(m, dump.data, dump.len, &masked) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_new();
    CLEANUP(buf_done) struct buf masked = { 0 };
    size_t len = size > 0 ? data[0] : 0, text_len;
    const uint8_t *secret = data + 1, *text;
    bool is_there;

    if (size < 1 + len)
        return 0;
    text = secret + len;
    text_len = size - 1 - len;
    if (mask_add(m, (const char *)secret, len) < 0) {
        FUZZ_CHECK(len < MASK_MIN);
        return 0;
    }
    is_there = memmem(text, text_len, secret, len) != NULL;
    FUZZ_CHECK(apply(m, text, text_len, &masked) > 0 || !is_there);
    if (is_there) {
        check_base64(m, text, text_len, sodium_base64_VARIANT_ORIGINAL);
        check_base64(m, text, text_len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        check_hex(m, text, text_len);
    }
    /* what stands in the place of a secret may only make another where that has brackets */
    if (memchr(secret, '[', len) == NULL && memchr(secret, ']', len) == NULL)
        FUZZ_CHECK(mask_apply(m, &masked) == 0);
    return 0;
}
