/* Lines of the log: the first byte is the form, then event, key and values, a line each. Whatever
 * they are, one line comes out, well-formed, without a byte that moves the cursor, and without the
 * secret. */
#include "support/replay.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "support/input.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/utf8.h"

#define SECRET "s3cret-value"

enum { VALUES = 3, LINE_MAX_BYTES = (VALUES + 1) * 6 * 4200 + 1024 };

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);

static struct buf *wanted; /* NULL: nothing is being logged */

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    if (fd != STDERR_FILENO || !wanted)
        return __real_write(fd, bytes, len);
    buf_append(wanted, bytes, len);
    return (ssize_t)len;
}

static void check_line(const struct buf *line)
{
    const unsigned char *s = (const unsigned char *)buf_str(line);
    size_t last = line->len - 1;

    FUZZ_CHECK(line->len > 0 && line->len <= LINE_MAX_BYTES && s[last] == '\n');
    FUZZ_CHECK(utf8_is_valid(line->data, line->len));
    FUZZ_CHECK(!strstr(line->data, SECRET));
    for (size_t i = 0; i < last; i++) {
        FUZZ_CHECK(s[i] >= ' ' && s[i] != 0x7f);
        FUZZ_CHECK(s[i] != 0xc2 || s[i + 1] >= 0xa0); /* C1 */
        FUZZ_CHECK(s[i] != 0xe2 || s[i + 1] != 0x80 || s[i + 2] < 0xa8 || s[i + 2] > 0xae);
        FUZZ_CHECK(s[i] != 0xe2 || s[i + 1] != 0x81 || s[i + 2] < 0xa6 || s[i + 2] > 0xa9);
    }
}

/* Whether it comes out as it went in. */
static bool is_kept(const struct mask *mask, const char *value)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    buf_append_str(&b, value);
    return b.len <= 4096 && utf8_is_valid(value, b.len) && mask_apply(mask, &b) == 0;
}

static void check_json(const struct buf *line, const char *value, bool kept)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    const char *got;

    FUZZ_CHECK(json_parse(line->data, line->len, &root, NULL) == 0 && json_is_object(root));
    got = json_get_str(root, "ours");
    FUZZ_CHECK(got && json_get_str(root, "time") && json_get_str(root, "level"));
    FUZZ_CHECK(!kept || strcmp(got, value) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum log_format formats[] = { LOG_FORMAT_TEXT, LOG_FORMAT_JSON,
                                               LOG_FORMAT_JOURNAL };
    CLEANUP_PTR(mask_free) struct mask *mask = mask_new();
    CLEANUP(buf_done) struct buf line = { 0 };
    struct input in = { data, size };
    enum log_format format = formats[input_byte(&in) % ARRAY_SIZE(formats)];
    AUTO_FREE char *event = input_until(&in, '\n');
    AUTO_FREE char *key = input_until(&in, '\n');
    AUTO_FREE char *second = input_until(&in, '\n');
    AUTO_FREE char *value = input_rest(&in);

    if (strstr(event, SECRET) || strstr(key, SECRET))
        return 0; /* those are ours, and not masked */
    FUZZ_CHECK(mask_add(mask, SECRET, strlen(SECRET)) == 0);
    log_setup(LOG_INFO, format, mask);
    wanted = &line;
    log_info(event, "ours", value, key, second, "missing", (const char *)NULL);
    wanted = NULL;
    log_setup(LOG_INFO, LOG_FORMAT_TEXT, NULL);
    check_line(&line);
    if (format == LOG_FORMAT_JSON)
        check_json(&line, value, is_kept(mask, value));
    return 0;
}
