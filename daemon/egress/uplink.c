#include "egress/uplink.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

enum { STANDARD_PORT = 1080, USER_MAX = 1024 }; /* the port as curl has it */

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) % 16 : -1;
}

/* USER:PASSWORD with its %XX undone, as a field. */
static char *make_field(const char *user, size_t len)
{
    char plain[USER_MAX], encoded[sodium_base64_ENCODED_LEN(USER_MAX, 1)];
    size_t n = 0;
    char *field;

    for (size_t i = 0; i < len; i++) {
        if (user[i] == '%' && i + 2 < len && hex(user[i + 1]) >= 0 && hex(user[i + 2]) >= 0) {
            plain[n++] = (char)(hex(user[i + 1]) << 4 | hex(user[i + 2]));
            i += 2;
        } else {
            plain[n++] = user[i];
        }
    }
    (void)sodium_bin2base64(encoded, sizeof encoded, (const unsigned char *)plain, n,
                            sodium_base64_VARIANT_ORIGINAL);
    field = mem_printf("Proxy-Authorization: Basic %s\r\n", encoded);
    secret_wipe(plain, sizeof plain);
    secret_wipe(encoded, sizeof encoded);
    return field;
}

int uplink_parse(const char *url, struct uplink *ret_uplink, struct err *err)
{
    static const char scheme[] = "http://";
    const char *at, *colon, *host = url, *why = "the port must be 1 to 65535";
    struct uplink u = { .port = STANDARD_PORT };
    size_t len, host_len;

    if (strncasecmp(host, scheme, sizeof scheme - 1) == 0)
        host += sizeof scheme - 1;
    else if (strstr(url, "://"))
        return err_set(err, -EINVAL,
                       "server.proxy: tasks in network mode allowlist can only follow a proxy of "
                       "the form http://HOST:PORT");
    len = strcspn(host, "/");
    at = memrchr(host, '@', len);
    if (at && (size_t)(at - host) > USER_MAX)
        return err_set(err, -EINVAL, "server.proxy: user and password are too long");
    if (at) {
        len -= (size_t)(at + 1 - host);
        at++;
    } else {
        at = host;
    }
    colon = memrchr(at, ':', len);
    if (colon && at[0] == '[' && colon[-1] != ']')
        colon = NULL;
    host_len = colon ? (size_t)(colon - at) : len;
    if ((colon && hostname_parse_port(colon + 1, len - host_len - 1, &u.port) < 0) ||
        hostname_parse(at, host_len, &u.host, &why) < 0)
        return err_set(err, -EINVAL, "server.proxy: %s", why);
    u.field = at > host ? make_field(host, (size_t)(at - 1 - host)) : mem_strdup("");
    *ret_uplink = u;
    return 0;
}

void uplink_done(struct uplink *u)
{
    if (u->field)
        secret_wipe(u->field, strlen(u->field));
    free(u->field);
    *u = (struct uplink){ 0 };
}

void uplink_print_connect(const struct uplink *u, const struct hostname *host, uint16_t port,
                          struct buf *b)
{
    char where[HOSTNAME_WITH_PORT_SIZE];

    (void)hostname_with_port(where, host, port);
    buf_printf(b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", where, where, u->field);
}

int uplink_read_answer(const char *bytes, size_t len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);

    if (!end)
        return len < UPLINK_ANSWER_MAX ? 0 : -ECONNREFUSED;
    if (len < 12 || memcmp(bytes, "HTTP/1.", 7) != 0 || memcmp(bytes + 8, " 2", 2) != 0)
        return -ECONNREFUSED;
    return (int)(end - bytes) + 4;
}
