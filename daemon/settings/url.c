#include "settings/url.h"

#include <string.h>
#include <strings.h>

#include "util/cleanup.h"
#include "util/hostname.h"
#include "util/mem.h"

static const struct scheme {
    const char *given, *spoken;
    bool is_secret;
} schemes[] = {
    { "https://", "https://", true },
    { "http://", "http://", false },
    /* the present daemon's variable names the realtime channel's URL */
    { "wss://", "https://", true },
    { "ws://", "http://", false },
};

static const struct scheme *scheme_of(const char *url)
{
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
        if (strncasecmp(url, schemes[i].given, strlen(schemes[i].given)) == 0)
            return &schemes[i];
    return NULL;
}

/* What follows the scheme, or NULL. */
static const char *after_scheme(const char *url)
{
    const struct scheme *scheme = scheme_of(url);

    return scheme ? url + strlen(scheme->given) : NULL;
}

static const char *check_port(const char *port)
{
    uint16_t n;

    return hostname_parse_port(port, strlen(port), &n) < 0 ? "the port must be 1 to 65535" : NULL;
}

static const char *check_authority(const char *text, size_t len)
{
    AUTO_FREE char *authority = mem_strndup(text, len);
    size_t host_len = authority[0] == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":");
    struct hostname host;
    const char *why = NULL;

    if (strchr(authority, '@'))
        return "user and password don't belong in it";
    if (host_len > len) /* a [ without its ] */
        host_len = len;
    if (hostname_parse(authority, host_len, &host, &why) < 0)
        return why;
    if (authority[host_len] == '\0')
        return NULL;
    return authority[host_len] == ':' ? check_port(authority + host_len + 1)
                                      : "only a port may follow the ]";
}

const char *url_check(const char *url)
{
    const char *host = after_scheme(url);

    if (!host)
        return "must begin with https:// or http://";
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~')
            return "only ASCII without spaces may be in it";
    if (strpbrk(url, "?#"))
        return "no ? and no # may be in it";
    return check_authority(host, strcspn(host, "/"));
}

/* Without what a base URL's path doesn't end in, however often it stands there. */
static size_t normal_len(const char *url)
{
    static const char legacy[] = "/socketio";
    static const size_t legacy_len = sizeof legacy - 1;
    const char *host = after_scheme(url);
    size_t len = strlen(url), least = host ? (size_t)(host - url) + strcspn(host, "/") : 0;

    for (;;) {
        if (len > least && url[len - 1] == '/')
            len--;
        else if (len >= least + legacy_len &&
                 memcmp(url + len - legacy_len, legacy, legacy_len) == 0)
            len -= legacy_len;
        else
            return len;
    }
}

char *url_normal(const char *url)
{
    const struct scheme *scheme = scheme_of(url);
    AUTO_FREE char *spoken = NULL;

    if (scheme)
        url = spoken = mem_printf("%s%s", scheme->spoken, url + strlen(scheme->given));
    return mem_strndup(url, normal_len(url));
}

bool url_is_exposed(const char *url)
{
    const struct scheme *scheme = scheme_of(url);
    const char *host = after_scheme(url);
    size_t len;

    if (!scheme || scheme->is_secret)
        return false;
    len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    if (len == 9 && strncasecmp(host, "localhost", len) == 0)
        return false;
    if (len == 5 && memcmp(host, "[::1]", len) == 0)
        return false;
    return strncmp(host, "127.", 4) != 0 || strspn(host, "0123456789.") != len;
}
