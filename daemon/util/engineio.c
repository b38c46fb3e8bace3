#include "util/engineio.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"

enum { SPAN_MAX_MS = 60 * 60 * 1000, REFUSAL_BYTES_MAX = 4096, OPEN_BYTES_MAX = 64 * 1024 };

static int check_type(char digit, size_t number, struct err *err)
{
    if (digit == 'b')
        return err_set(err, -EPROTONOSUPPORT,
                       "packet %zu is binary, which this channel doesn't carry", number);
    if (digit < '0' || digit >= '0' + ENGINEIO_TYPE_COUNT)
        return err_set(err, -EBADMSG, "packet %zu has no type of Engine.IO 4", number);
    return 0;
}

int engineio_next(const char *body, size_t len, struct engineio_cursor *cursor,
                  struct engineio_packet *ret_packet, struct err *err)
{
    size_t number = cursor->packets + 1;
    const char *start, *end;
    int rc;

    if (cursor->at > len)
        return 0;
    if (number > ENGINEIO_PACKETS_MAX)
        return err_set(err, -EMSGSIZE, "more than %d packets in one body", ENGINEIO_PACKETS_MAX);
    start = body + cursor->at;
    end = cursor->at < len ? memchr(start, ENGINEIO_SEPARATOR, len - cursor->at) : NULL;
    end = end ? end : body + len;
    if (end == start)
        return err_set(err, -EBADMSG, "packet %zu is empty", number);
    rc = check_type(*start, number, err);
    if (rc < 0)
        return rc;
    *ret_packet = (struct engineio_packet){ .type = (enum engineio_type)(*start - '0'),
                                            .data = start + 1,
                                            .len = (size_t)(end - start) - 1 };
    cursor->at = (size_t)(end - body) + 1; /* past the end after the last one */
    cursor->packets = number;
    return 1;
}

int engineio_append(struct buf *body, enum engineio_type type, const char *data, size_t len)
{
    if (len > 0 && memchr(data, ENGINEIO_SEPARATOR, len))
        return -EINVAL;
    if (body->len > 0)
        buf_append_char(body, ENGINEIO_SEPARATOR);
    buf_append_char(body, (char)('0' + (int)type));
    if (len > 0)
        buf_append(body, data, len);
    return 0;
}

bool engineio_fits(const struct buf *body, size_t len, size_t max)
{
    size_t before = body->len + (body->len > 0) + 1;

    return before <= max && len <= max - before;
}

/* ---- the handshake's answer ---- */

static int check_sid(const char *sid)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_";
    size_t len = sid ? strlen(sid) : 0;

    return len > 0 && len <= ENGINEIO_SID_MAX && strspn(sid, allowed) == len ? 0 : -EBADMSG;
}

static int get_span(const struct json *root, const char *key, uint32_t *ret_ms, struct err *err)
{
    uint64_t n = 0;

    if (json_get_u64(root, key, &n) < 0 || n == 0 || n > SPAN_MAX_MS)
        return err_set(err, -EBADMSG, "the open packet's %s is no time of 1 to %d ms", key,
                       SPAN_MAX_MS);
    *ret_ms = (uint32_t)n;
    return 0;
}

int engineio_parse_open(const char *data, size_t len, struct engineio_open *ret_open,
                        struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct engineio_open open = { .max_payload = ENGINEIO_PAYLOAD_MAX };
    const char *sid;
    uint64_t most = ENGINEIO_PAYLOAD_MAX;
    int rc;

    if (len > OPEN_BYTES_MAX)
        return err_set(err, -EBADMSG, "the open packet has %zu bytes", len);
    rc = json_parse(data, len, &root, err);
    if (rc < 0)
        return err_set(err, -EBADMSG, "the open packet is no JSON");
    sid = json_get_str(root, "sid");
    if (check_sid(sid) < 0)
        return err_set(err, -EBADMSG, "the open packet has no usable sid");
    memcpy(open.sid, sid, strlen(sid) + 1);
    if (get_span(root, "pingInterval", &open.ping_interval_ms, err) < 0 ||
        get_span(root, "pingTimeout", &open.ping_timeout_ms, err) < 0)
        return -EBADMSG;
    rc = json_get_u64(root, "maxPayload", &most);
    if ((rc < 0 && rc != -ENOENT) || most == 0)
        return err_set(err, -EBADMSG, "the open packet's maxPayload is no size");
    open.max_payload = rc == 0 && most < SIZE_MAX ? (size_t)most : open.max_payload;
    *ret_open = open;
    return 0;
}

char *engineio_print_open(const struct engineio_open *open)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();

    json_add_str(root, "sid", open->sid);
    json_add(root, "upgrades", json_array());
    json_add_i64(root, "pingInterval", open->ping_interval_ms);
    json_add_i64(root, "pingTimeout", open->ping_timeout_ms);
    json_add_i64(root, "maxPayload", (int64_t)open->max_payload);
    return json_print(root);
}

/* ---- refusals ---- */

static const char *const refusals[] = {
    [ENGINEIO_NO_TRANSPORT] = "Transport unknown",
    [ENGINEIO_NO_SESSION] = "Session ID unknown",
    [ENGINEIO_BAD_METHOD] = "Bad handshake method",
    [ENGINEIO_BAD_REQUEST] = "Bad request",
    [ENGINEIO_FORBIDDEN] = "Forbidden",
    [ENGINEIO_BAD_VERSION] = "Unsupported protocol version",
};
static_assert(ARRAY_SIZE(refusals) == ENGINEIO_REFUSAL_COUNT, "every refusal has its words");

char *engineio_print_refusal(enum engineio_refusal refusal)
{
    return mem_printf("{\"code\":%d,\"message\":\"%s\"}", (int)refusal, refusals[refusal]);
}

int engineio_parse_refusal(const char *body, size_t len)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    uint64_t code;

    if (len > REFUSAL_BYTES_MAX || json_parse(body, len, &root, NULL) < 0 ||
        json_get_u64(root, "code", &code) < 0 || !json_get_str(root, "message") ||
        code >= ENGINEIO_REFUSAL_COUNT)
        return -EBADMSG;
    return (int)code;
}
