/* A request to a task's brokers, then an upstream's answer: what is asked is listed, has one key,
 * ours, and one host, the upstream's; nothing of the key is in what the task gets. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "egress/censor.h"
#include "egress/claim.h"
#include "egress/reply.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"

#define KEY "sk-of-ours"

static bool is_named(struct head_text name, const char *want)
{
    return name.len == strlen(want) && strncasecmp(name.at, want, name.len) == 0;
}

static void check_sent(const struct claim *c, const struct head *h)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE struct head *again = mem_new(struct head);
    struct broker_place place;
    const char *why = NULL;
    size_t keys = 0;

    FUZZ_CHECK(broker_find_place(c->broker, &place, NULL) == 0);
    (void)buf_reserve(&b, CLAIM_PRINT_MAX + strlen(KEY));
    claim_print(c, h, &place, KEY, &b);
    FUZZ_CHECK(b.len <= CLAIM_PRINT_MAX + strlen(KEY));
    if (b.len >= HEAD_MAX || h->field_count + 5 > HEAD_FIELDS_MAX)
        return;
    FUZZ_CHECK(head_find_end(b.data, b.len, 0) == (ssize_t)b.len);
    FUZZ_CHECK(head_parse(b.data, b.len, true, again, &why) == 0);
    FUZZ_CHECK(strcmp(again->host.text, place.host.text) == 0);
    FUZZ_CHECK(again->body == h->body && again->body_bytes == h->body_bytes);
    for (size_t i = 0; i < again->field_count; i++) {
        FUZZ_CHECK(!is_named(again->fields[i].name, "authorization") &&
                   !is_named(again->fields[i].name, "cookie"));
        keys += is_named(again->fields[i].name, "x-api-key");
    }
    FUZZ_CHECK(keys == 1);
    FUZZ_CHECK(again->path.len == c->path.len + c->query.len);
    FUZZ_CHECK(broker_path_is_plain(again->path.at, c->path.len));
}

static void check_answer(const char *bytes, size_t len)
{
    CLEANUP(buf_done) struct buf head = { 0 }, whole = { 0 }, pieces = { 0 };
    CLEANUP_PTR(censor_forms_free) struct censor_forms *forms = censor_forms_new(KEY, strlen(KEY));
    struct censor one = { .forms = forms }, many = one;
    ssize_t used = reply_read(bytes, len, &head);
    uint64_t said = 0;

    FUZZ_CHECK(used <= (ssize_t)len && (used > 0 || head.len == 0));
    FUZZ_CHECK(used >= 0 || used == -EBADMSG || used == -ELOOP || used == -EMSGSIZE);
    if (head.len > 0)
        (void)reply_body(head.data, head.len, &said);
    FUZZ_CHECK(said < UINT64_C(1000000000000000000));
    censor_feed(&one, bytes, len, &whole);
    censor_end(&one, &whole);
    for (size_t i = 0; i < len; i++)
        censor_feed(&many, bytes + i, 1, &pieces);
    censor_end(&many, &pieces);
    FUZZ_CHECK(whole.len == len && pieces.len == len);
    FUZZ_CHECK(len == 0 || (memcmp(whole.data, pieces.data, len) == 0 &&
                            !memmem(whole.data, len, KEY, strlen(KEY))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *bytes = mem_dup(data, size); /* its end is watched */
    AUTO_FREE struct head *h = mem_new(struct head);
    CLEANUP(broker_done_all) struct broker_list list = { 0 };
    ssize_t end = head_find_end(bytes, size, 0);
    struct broker b = { 0 };
    const char *why = NULL;
    struct claim c;

    check_answer(bytes, size);
    if (end <= 0 || head_parse(bytes, (size_t)end, true, h, &why) < 0)
        return 0;
    FUZZ_CHECK(broker_known("anthropic", &b));
    broker_add(&list, &b);
    if (claim_judge(&list, h, &c) == CLAIM_OK)
        check_sent(&c, h);
    return 0;
}
