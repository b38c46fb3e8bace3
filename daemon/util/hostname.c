#include "util/hostname.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int refuse(const char **ret_why, const char *why)
{
    if (ret_why)
        *ret_why = why;
    return -EINVAL;
}

static int parse_ipv6(const char *text, size_t len, struct hostname *host, const char **ret_why)
{
    char inner[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (len < 3 || len - 2 >= sizeof inner || text[len - 1] != ']')
        return refuse(ret_why, "the address in [] isn't IPv6");
    memcpy(inner, text + 1, len - 2);
    inner[len - 2] = '\0';
    if (strlen(inner) != len - 2 || inet_pton(AF_INET6, inner, &address) != 1)
        return refuse(ret_why, "the address in [] isn't IPv6");
    host->kind = HOSTNAME_IPV6;
    (void)inet_ntop(AF_INET6, &address, host->text, sizeof host->text); /* it fits */
    return 0;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

static bool label_is_sound(const char *label, size_t len)
{
    if (len == 0 || len > HOSTNAME_LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(label[i]) && label[i] != '-' && label[i] != '_')
            return false;
    return true;
}

static bool is_number(const char *label)
{
    const char *digits = "0123456789";

    if (label[0] == '0' && label[1] == 'x') {
        label += 2;
        digits = "0123456789abcdef";
    }
    return label[strspn(label, digits)] == '\0';
}

static int check_name(struct hostname *host, const char **ret_why)
{
    const char *label = host->text, *last = strrchr(host->text, '.');
    struct in_addr address;

    if (is_number(last ? last + 1 : host->text)) {
        host->kind = HOSTNAME_IPV4;
        if (inet_pton(AF_INET, host->text, &address) == 1)
            return 0;
        return refuse(ret_why, "it ends in a number, and an IPv4 address is four decimal ones");
    }
    host->kind = HOSTNAME_NAME;
    while (label) {
        const char *dot = strchrnul(label, '.');

        if (!label_is_sound(label, (size_t)(dot - label)))
            return refuse(ret_why,
                          "a name is made of letters, digits and '-', with dots between; write "
                          "other scripts in the xn-- form");
        label = *dot ? dot + 1 : NULL;
    }
    return 0;
}

int hostname_parse(const char *text, size_t len, struct hostname *ret_host, const char **ret_why)
{
    struct hostname host = { .kind = HOSTNAME_NAME };
    int r;

    if (len == 0)
        return refuse(ret_why, "the host is missing");
    if (text[0] == '[') {
        r = parse_ipv6(text, len, &host, ret_why);
        if (r == 0)
            *ret_host = host;
        return r;
    }
    if (len > 1 && text[len - 1] == '.')
        len--;
    if (len > HOSTNAME_MAX)
        return refuse(ret_why, "the host is too long");
    for (size_t i = 0; i < len; i++) /* a NUL among them is no letter of a name */
        host.text[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    if (strlen(host.text) != len)
        return refuse(ret_why, "there is a NUL in it");
    r = check_name(&host, ret_why);
    if (r == 0)
        *ret_host = host;
    return r;
}

int hostname_parse_port(const char *text, size_t len, uint16_t *ret_port)
{
    unsigned n = 0;

    if (len == 0 || len > 5 || text[0] == '0')
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        n = n * 10 + (unsigned)(text[i] - '0');
    }
    if (n > UINT16_MAX)
        return -EINVAL;
    *ret_port = (uint16_t)n;
    return 0;
}

const char *hostname_with_port(char buffer[HOSTNAME_WITH_PORT_SIZE], const struct hostname *host,
                               uint16_t port)
{
    (void)snprintf(buffer, HOSTNAME_WITH_PORT_SIZE,
                   host->kind == HOSTNAME_IPV6 ? "[%s]:%u" : "%s:%u", host->text, (unsigned)port);
    return buffer;
}
