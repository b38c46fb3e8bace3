/* What an answer of the control plane means: kind of request, outcome, status, Retry-After, then
 * Content-Type up to a newline, and the body. There is a verdict, a sentence fit for the log unless
 * all is well, and nothing final without JSON. */
#include "support/replay.h"

#include <string.h>

#include "support/input.h"
#include "upstream/verdict.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/utf8.h"

#define KEY "nairid_01234567"

static bool is_json(const struct verdict_facts *f)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;

    return json_parse(f->body, f->body_len, &root, NULL) == 0 && json_is_object(root);
}

static void check(const struct verdict_facts *f, const struct verdict *v)
{
    bool done = f->outcome == HTTP_DONE;

    FUZZ_CHECK(v->verdict < UPSTREAM_VERDICT_COUNT);
    FUZZ_CHECK((v->verdict == UPSTREAM_OK) == (v->text[0] == '\0'));
    FUZZ_CHECK(utf8_is_valid(v->text, strlen(v->text)) && !strstr(v->text, KEY));
    for (const char *c = v->text; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
    if (v->verdict == UPSTREAM_OK)
        FUZZ_CHECK(done && f->status >= 200 && f->status < 300);
    if (f->file_fault < 0)
        return; /* which a sentence of the parser's goes with */
    if (v->verdict == UPSTREAM_REFUSED || v->verdict == UPSTREAM_CONFLICT ||
        v->verdict == UPSTREAM_KEY_REFUSED)
        FUZZ_CHECK(done && f->status >= 400 && f->status < 500 && is_json(f));
    if (v->verdict == UPSTREAM_KEY_REFUSED)
        FUZZ_CHECK(f->status == 401 || f->status == 403);
    if (f->request == VERDICT_POLL)
        FUZZ_CHECK(v->verdict != UPSTREAM_REFUSED && v->verdict != UPSTREAM_CONFLICT &&
                   v->verdict != UPSTREAM_TOO_LARGE && v->verdict != UPSTREAM_FAILED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    struct verdict_facts f = {
        .request = (enum verdict_request)(input_byte(&in) % (VERDICT_DOWNLOAD + 1)),
        .outcome = (enum http_outcome)(input_byte(&in) % HTTP_OUTCOME_COUNT),
        .status = (int)(input_number(&in, 2) % 1000),
        .retry_after_ms = (uint32_t)input_number(&in, 4),
        .http_error = "no connection",
        .never_say = KEY,
    };
    AUTO_FREE char *type = input_until(&in, '\n');
    AUTO_FREE char *body = NULL;
    struct verdict v;

    f.body_len = in.left;
    f.body = body = input_rest(&in);
    f.content_type = type;
    if (f.request == VERDICT_DOWNLOAD && f.body_len > 0 && body[0] < ' ') {
        f.file_fault = -(int)(unsigned char)body[0];
        f.file_error = "the file is at fault";
    }
    f.listing_error = f.request == VERDICT_POLL && !is_json(&f) ? "it is no JSON" : NULL;
    verdict_judge(&f, &v);
    check(&f, &v);
    return 0;
}
