#include "settings/allow.h"

#include <errno.h>
#include <string.h>

#include "settings/url.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"
#include "util/utf8.h"

static const struct {
    const char *word;
    unsigned grant;
} words[] = {
    { "private", ALLOW_PRIVATE },
    { "loopback", ALLOW_LOOPBACK },
    { "raw", ALLOW_RAW },
};

static int fail(struct err *err, const char *text, const char *why)
{
    CLEANUP(buf_done) struct buf shown = { 0 };

    utf8_clean(&shown, text, strnlen(text, 100));
    return err_set(err, -EINVAL, "'%s': %s", buf_str(&shown), why);
}

static int parse_words(const char *text, const char *at, unsigned *ret_grants, struct err *err)
{
    unsigned grants = 0;

    for (at += strspn(at, " "); *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        unsigned grant = 0;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
            if (strlen(words[i].word) == len && memcmp(words[i].word, at, len) == 0)
                grant = words[i].grant;
        if (grant == 0 || (grants & grant))
            return fail(err, text,
                        "after HOST:PORT only the words private, loopback and raw may follow, each "
                        "once");
        grants |= grant;
        at += len;
    }
    *ret_grants = grants;
    return 0;
}

/* The colon before the port. */
static const char *find_colon(const char *text, size_t len)
{
    const char *colon = memrchr(text, ':', len);

    if (!colon || (text[0] == '[' && colon[-1] != ']'))
        return NULL;
    return colon;
}

int allow_parse(const char *text, struct allow *ret_allow, struct err *err)
{
    size_t len = strcspn(text, " ");
    const char *colon = find_colon(text, len), *host = text, *why = NULL;
    struct allow a = { .port = ALLOW_ANY_PORT };
    int r;

    if (strlen(text) >= ALLOW_TEXT_MAX)
        return fail(err, text, "the entry is too long");
    if (!colon || colon == text)
        return fail(err, text,
                    "want HOST:PORT, such as example.org:443, *.example.org:443 or [fd00::1]:443");
    if (str_starts_with(host, "*.")) {
        a.is_wildcard = true;
        host += 2;
    } else if (host[0] == '*') {
        return fail(err, text,
                    "a '*' stands before a dot, as in *.example.org; for every host there is "
                    "sandbox.network.mode: host");
    }
    r = hostname_parse(host, (size_t)(colon - host), &a.host, &why);
    if (r < 0)
        return fail(err, text, why);
    if (a.is_wildcard && a.host.kind != HOSTNAME_NAME)
        return fail(err, text, "'*.' goes with a name, not with an address");
    colon++;
    if (text + len != colon + 1 || *colon != '*')
        r = hostname_parse_port(colon, (size_t)(text + len - colon), &a.port);
    if (r < 0)
        return fail(err, text, "the port must be 1 to 65535, or * for all");
    r = parse_words(text, text + len, &a.grants, err);
    if (r == 0)
        *ret_allow = a;
    return r;
}

bool allow_matches(const struct allow *a, const struct hostname *host, uint16_t port)
{
    size_t len = strlen(host->text), tail = strlen(a->host.text);

    if (a->port != ALLOW_ANY_PORT && a->port != port)
        return false;
    if (a->host.kind != host->kind)
        return false;
    if (!a->is_wildcard)
        return str_eq(a->host.text, host->text);
    return len > tail + 1 && host->text[len - tail - 1] == '.' &&
           memcmp(host->text + len - tail, a->host.text, tail) == 0;
}

void allow_print(const struct allow *a, struct buf *b)
{
    buf_printf(b, a->host.kind == HOSTNAME_IPV6 ? "[%s%s]:" : "%s%s:", a->is_wildcard ? "*." : "",
               a->host.text);
    if (a->port == ALLOW_ANY_PORT)
        buf_append_char(b, '*');
    else
        buf_printf(b, "%u", (unsigned)a->port);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (a->grants & words[i].grant)
            buf_printf(b, " %s", words[i].word);
}

int allow_print_url(const char *url, struct buf *b)
{
    AUTO_FREE char *normal = url_check(url) ? NULL : url_normal(url);
    struct allow a = { .port = 443 };
    const char *host, *colon;
    size_t len;

    if (!normal)
        return -EINVAL;
    if (str_starts_with(normal, "http://"))
        a.port = 80;
    host = strstr(normal, "://") + strlen("://");
    len = strcspn(host, "/");
    colon = memrchr(host, ':', len);
    if (colon && (host[0] != '[' || colon[-1] == ']')) {
        if (hostname_parse_port(colon + 1, len - (size_t)(colon + 1 - host), &a.port) < 0)
            return -EINVAL;
        len = (size_t)(colon - host);
    }
    if (hostname_parse(host, len, &a.host, NULL) < 0)
        return -EINVAL;
    if (a.host.kind == HOSTNAME_NAME)
        a.grants = ALLOW_PRIVATE | ALLOW_LOOPBACK;
    allow_print(&a, b);
    return 0;
}
