/* The messages of a conversation as a server lists them: the question's id, then the list. What is
 * shown of it is text. */
#include "support/replay.h"

#include <string.h>

#include "main/transcript.h"
#include "support/input.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/utf8.h"

static void check_text(const struct buf *b)
{
    FUZZ_CHECK(strlen(buf_str(b)) == b->len && utf8_is_valid(buf_str(b), b->len));
}

static void check(const struct json *list, const char *id, size_t size)
{
    struct transcript t;

    transcript_read(list, id, &t);
    FUZZ_CHECK(t.status <= TRANSCRIPT_FAILED);
    check_text(&t.answer);
    check_text(&t.error);
    check_text(&t.doing);
    FUZZ_CHECK(t.answer.len + t.error.len + t.doing.len <= 4 * size);
    transcript_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(json_free) struct json *list = NULL;
    struct input in = { data, size };
    AUTO_FREE char *id = input_until(&in, '\n');
    const char *last;

    if (json_parse((const char *)in.at, in.left, &list, NULL) < 0)
        return 0;
    (void)transcript_status_of(list);
    check(list, id, size);
    last = transcript_last_question(list);
    if (last)
        check(list, last, size);
    return 0;
}
