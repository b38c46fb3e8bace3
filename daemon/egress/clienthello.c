#include "egress/clienthello.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/mem.h"

enum {
    RECORD_HANDSHAKE = 22,
    RECORD_MAX = 16 * 1024,
    HANDSHAKE_CLIENT_HELLO = 1,
    EXTENSION_SERVER_NAME = 0,
    NAME_TYPE_HOST = 0,
    HEADER = 5,
    MESSAGE_HEADER = 4,
    EXTENSIONS_MAX = 256,
};

/* What is left to read. Once something didn't fit, bad stays set and all that follows is empty. */
struct span {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static struct span take(struct span *s, size_t len)
{
    struct span part = { .at = s->at, .left = len };

    if (s->bad || s->left < len) {
        s->bad = true;
        return (struct span){ .bad = true };
    }
    s->at += len;
    s->left -= len;
    return part;
}

static size_t take_number(struct span *s, size_t bytes)
{
    struct span part = take(s, bytes);
    size_t n = 0;

    for (size_t i = 0; i < part.left; i++)
        n = n << 8 | part.at[i];
    return n;
}

/* A vector with its length in so many bytes before it. */
static struct span take_vector(struct span *s, size_t length_bytes)
{
    size_t len = take_number(s, length_bytes);

    return take(s, len);
}

/* server_name: a list of exactly one host name. */
static bool read_server_name(struct span extension, struct hostname *ret_name)
{
    struct span list = take_vector(&extension, 2);
    size_t type = take_number(&list, 1);
    struct span name = take_vector(&list, 2);

    if (extension.bad || list.bad || extension.left > 0 || list.left > 0 || type != NAME_TYPE_HOST)
        return false;
    return hostname_parse((const char *)name.at, name.left, ret_name, NULL) == 0 &&
           ret_name->kind == HOSTNAME_NAME;
}

static enum clienthello_verdict read_extensions(struct span all, struct hostname *ret_name)
{
    enum clienthello_verdict verdict = CLIENTHELLO_NO_NAME;
    struct hostname name;

    for (int i = 0; all.left > 0 && i < EXTENSIONS_MAX; i++) {
        size_t type = take_number(&all, 2);
        struct span extension = take_vector(&all, 2);

        if (all.bad)
            return CLIENTHELLO_BAD;
        if (type != EXTENSION_SERVER_NAME)
            continue;
        if (verdict == CLIENTHELLO_NAME || !read_server_name(extension, &name))
            return CLIENTHELLO_BAD;
        verdict = CLIENTHELLO_NAME;
    }
    if (all.left > 0)
        return CLIENTHELLO_BAD;
    if (verdict == CLIENTHELLO_NAME)
        *ret_name = name;
    return verdict;
}

static enum clienthello_verdict read_message(struct span body, struct hostname *ret_name)
{
    struct span extensions = { 0 };

    if (take_number(&body, 1) != 3) /* legacy_version: 3.1 to 3.4 */
        return CLIENTHELLO_BAD;
    (void)take(&body, 1 + 32);      /* its second byte, random */
    (void)take_vector(&body, 1);    /* session id */
    (void)take_vector(&body, 2);    /* cipher suites */
    (void)take_vector(&body, 1);    /* compression methods */
    if (!body.bad && body.left > 0) /* RFC 5246: there may be none */
        extensions = take_vector(&body, 2);
    if (body.bad || body.left > 0)
        return CLIENTHELLO_BAD;
    return read_extensions(extensions, ret_name);
}

/* Puts together what the records hold: 0, or the verdict where that is no handshake. message: as
 * much room as there are bytes. */
static bool join_records(struct span records, uint8_t *message, size_t *ret_len)
{
    size_t len = 0;

    while (records.left > 0) {
        const uint8_t *header = records.at;
        size_t want, have;

        if (header[0] != RECORD_HANDSHAKE || (records.left > 1 && header[1] != 3))
            return false;
        if (records.left < HEADER)
            break;
        want = (size_t)header[3] << 8 | header[4];
        if (want == 0 || want > RECORD_MAX)
            return false;
        (void)take(&records, HEADER);
        have = want < records.left ? want : records.left;
        memcpy(message + len, records.at, have);
        len += have;
        (void)take(&records, have);
        if (len >= MESSAGE_HEADER && len - MESSAGE_HEADER >= ((size_t)message[1] << 16 |
                                                              (size_t)message[2] << 8 | message[3]))
            break; /* what follows is another message */
    }
    *ret_len = len;
    return true;
}

enum clienthello_verdict clienthello_read(const void *bytes, size_t len, struct hostname *ret_name)
{
    AUTO_FREE uint8_t *message = mem_alloc(len);
    struct span all;
    size_t have, want;

    if (!join_records((struct span){ .at = bytes, .left = len }, message, &have))
        return CLIENTHELLO_BAD;
    if (have > 0 && message[0] != HANDSHAKE_CLIENT_HELLO)
        return CLIENTHELLO_BAD;
    if (have < MESSAGE_HEADER)
        return len < CLIENTHELLO_MAX ? CLIENTHELLO_MORE : CLIENTHELLO_BAD;
    all = (struct span){ .at = message + 1, .left = have - 1 };
    want = take_number(&all, 3);
    if (want > CLIENTHELLO_MAX)
        return CLIENTHELLO_BAD;
    if (all.left < want)
        return len < CLIENTHELLO_MAX ? CLIENTHELLO_MORE : CLIENTHELLO_BAD;
    return read_message(take(&all, want), ret_name);
}
