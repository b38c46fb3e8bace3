#include "settings/url.h"

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
    if (name[0] == '[') { /* an IPv6 address */
        char *end = strchr(name, ']');

        if (!end || end == name + 1 ||
            name[1 + strspn(name + 1, "0123456789abcdefABCDEF:.")] != ']')
            return "the address in [] isn't IPv6";
        if (end[1] == '\0')
            return NULL;
        return end[1] == ':' ? check_port(end + 2) : "only a port may follow the ]";
    }
    colon = strchr(name, ':');
    if (colon == name)
        return "the host is missing";
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

char *url_normal(const char *url)
{
    static const char legacy[] = "/socketio";
    const struct scheme *scheme = scheme_of(url);
    AUTO_FREE char *spoken = NULL;
    size_t len;

    if (scheme)
        url = spoken = mem_printf("%s%s", scheme->spoken, url + strlen(scheme->given));
    len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    if (len >= sizeof legacy - 1 &&
        memcmp(url + len - (sizeof legacy - 1), legacy, sizeof legacy - 1) == 0)
        len -= sizeof legacy - 1;
    while (len > 0 && url[len - 1] == '/')
        len--;
    return mem_strndup(url, len);
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
