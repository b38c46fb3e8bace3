#include "settings/url.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

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
    uint64_t n;

    return str_to_u64(port, 65535, &n) < 0 || n == 0 ? "the port must be 1 to 65535" : NULL;
}

/* RFC 1123 s2.1, and the underscore that some inner networks have. */
static bool is_host(const char *name, size_t len)
{
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._") == len;
}

static const char *check_ipv6(char *name)
{
    char *end = strchr(name, ']');
    struct in6_addr address;

    if (!end)
        return "the address in [] isn't IPv6";
    *end = '\0';
    if (inet_pton(AF_INET6, name + 1, &address) != 1)
        return "the address in [] isn't IPv6";
    if (end[1] == '\0')
        return NULL;
    return end[1] == ':' ? check_port(end + 2) : "only a port may follow the ]";
}

static const char *check_authority(const char *host, size_t len)
{
    char name[256];
    char *colon;

    if (len == 0)
        return "the host is missing";
    if (len >= sizeof name)
        return "the host is too long";
    memcpy(name, host, len);
    name[len] = '\0';
    if (strchr(name, '@'))
        return "user and password don't belong in it";
    if (name[0] == '[')
        return check_ipv6(name);
    colon = strchr(name, ':');
    if (colon == name)
        return "the host is missing";
    if (!is_host(name, strcspn(name, ":")))
        return "only letters, digits, '-', '.' and '_' may be in the host";
    return colon ? check_port(colon + 1) : NULL;
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
