/* A request to the proxy of a task, and its body. What is sent on must read as the same request. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "egress/chunked.h"
#include "egress/head.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() isn't there in an optimised build. */
static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_body(const char *bytes, size_t len)
{
    struct chunked whole = { 0 }, piecewise = { 0 };
    size_t used = 0, at = 0, one = 0;
    int r = chunked_scan(&whole, bytes, len, &used), p = 0;

    for (; p == 0 && at < len; at += one)
        p = chunked_scan(&piecewise, bytes + at, 1, &one);
    must(r == p);
    must(r < 0 || used <= len);
    must(r <= 0 || used == at);
}

static void check_sent_on(const struct head *h, bool in_tunnel)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE struct head *again = mem_new(struct head);
    const char *why;

    head_print(h, !in_tunnel, &b);
    buf_append_str(&b, "\r\n");
    must(head_find_end(b.data, b.len, 0) == (ssize_t)b.len || b.len > HEAD_MAX);
    if (h->field_count + 3 > HEAD_FIELDS_MAX || b.len > HEAD_MAX)
        return;
    must(head_parse(b.data, b.len, in_tunnel, again, &why) == 0);
    must(strcmp(again->host.text, h->host.text) == 0 && again->port == h->port);
    must(again->body == h->body && again->body_bytes == h->body_bytes);
    must(again->method.len == h->method.len &&
         memcmp(again->method.at, h->method.at, h->method.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *bytes = mem_dup(data, size); /* its end is watched */
    AUTO_FREE struct head *h = mem_new(struct head);
    ssize_t end = head_find_end(bytes, size, 0);

    must(end <= (ssize_t)size);
    if (end <= 0)
        return 0;
    must(head_find_end(bytes, (size_t)end, (size_t)end - 1) == end);
    for (int in_tunnel = 0; in_tunnel < 2; in_tunnel++) {
        const char *why = NULL;
        int r = head_parse(bytes, (size_t)end, in_tunnel, h, &why);

        must((r == 0) == (why == NULL) && (r == 0 || r == -EBADMSG || r == -EOPNOTSUPP));
        if (r == 0 && h->form != HEAD_CONNECT)
            check_sent_on(h, in_tunnel);
    }
    check_body(bytes + end, size - (size_t)end);
    return 0;
}
