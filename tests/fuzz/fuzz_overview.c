/* The daemon's status answer for a person: the width, then the answer. Each line fits and holds
 * nothing but text, and no task's words begin a line of their own. */
#include "support/replay.h"

#include <locale.h>
#include <string.h>

#include "main/overview.h"
#include "support/input.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(json_free) struct json *status = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    struct input in = { data, size };
    size_t columns = input_byte(&in), lines = 0;
    uint64_t now_ms = input_number(&in, 4);

    FUZZ_CHECK(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
    if (json_parse((const char *)in.at, in.left, &status, NULL) < 0)
        return 0;
    overview_print(&b, status, now_ms, columns);
    FUZZ_CHECK(b.len > 0 && b.data[b.len - 1] == '\n' && utf8_is_valid(b.data, b.len));
    for (size_t i = 0; i < b.len; i++) {
        lines += b.data[i] == '\n';
        FUZZ_CHECK(b.data[i] == '\n' || ((unsigned char)b.data[i] >= ' ' && b.data[i] != 0x7f));
    }
    FUZZ_CHECK(lines <= 4 + json_len(json_get(status, "jobs")));
    return 0;
}
