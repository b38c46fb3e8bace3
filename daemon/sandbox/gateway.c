#include "sandbox/gateway.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

static bool is_plain(const char *text, size_t size)
{
    if (!memchr(text, '\0', size))
        return false;
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

static bool is_place(const char *text)
{
    const char *colon = strrchr(text, ':');
    char again[HOSTNAME_WITH_PORT_SIZE];
    struct hostname host;
    uint16_t port;

    return colon && hostname_parse(text, (size_t)(colon - text), &host, NULL) == 0 &&
           hostname_parse_port(colon + 1, strlen(colon + 1), &port) == 0 &&
           str_eq(hostname_with_port(again, &host, port), text);
}

bool gateway_word_is_sound(const struct gateway_word *w)
{
    switch (w->kind) {
    case GATEWAY_READY:
        return true;
    case GATEWAY_FAILED:
        return err_is_errno(w->failure) && is_plain(w->error, sizeof w->error);
    case GATEWAY_REFUSED:
        return w->why < GATEWAY_REFUSAL_COUNT && is_plain(w->place, sizeof w->place) &&
               is_plain(w->detail, sizeof w->detail) && is_place(w->place);
    default:
        return false;
    }
}

int gateway_pack_keys(const struct secret *const *keys, size_t count)
{
    AUTO_FREE char *bytes = NULL;
    size_t size = 0, at = 0;
    int fd;

    for (size_t i = 0; i < count; i++)
        size += sizeof(uint32_t) + secret_len(keys[i]);
    if (size > GATEWAY_KEYS_MAX)
        return -EMSGSIZE;
    bytes = mem_alloc(size);
    for (size_t i = 0; i < count; i++) {
        uint32_t len = (uint32_t)secret_len(keys[i]);

        memcpy(bytes + at, &len, sizeof len);
        memcpy(bytes + at + sizeof len, secret_text(keys[i]), len);
        at += sizeof len + len;
    }
    fd = fd_memfile("keys", bytes, size);
    secret_wipe(bytes, size);
    return fd;
}

void gateway_describe(const struct gateway_word *w, char *text, size_t size)
{
    const char *place = w->place;

    switch ((enum gateway_refusal)w->why) {
    case GATEWAY_NOT_ALLOWED:
        (void)snprintf(text, size,
                       "the task wanted %s, which the policy doesn't allow (sandbox.network.allow)",
                       place);
        return;
    case GATEWAY_ADDRESS_BAD:
        (void)snprintf(text, size,
                       "the task wanted %s, whose name leads to %s, which the policy doesn't allow "
                       "(sandbox.network.allow)",
                       place, w->detail);
        return;
    case GATEWAY_OTHER_NAME:
        (void)snprintf(text, size,
                       "the task asked for %s inside its connection to %s, which the policy "
                       "doesn't allow",
                       w->detail, place);
        return;
    case GATEWAY_NO_NAME:
        (void)snprintf(text, size,
                       "the task named no host in its TLS connection to %s, which the policy "
                       "doesn't allow (the word raw in sandbox.network.allow would)",
                       place);
        return;
    case GATEWAY_NOT_TLS:
        (void)snprintf(text, size,
                       "the task spoke neither TLS nor HTTP in its connection to %s, which the "
                       "policy doesn't allow (the word raw in sandbox.network.allow would)",
                       place);
        return;
    case GATEWAY_NOT_LISTED:
        (void)snprintf(text, size,
                       "the task asked the broker of %s for %s, which its methods and paths don't "
                       "list (broker)",
                       place, w->detail);
        return;
    case GATEWAY_NO_ANSWER:
        (void)snprintf(text, size, "the broker got no answer from %s: %s", place, w->detail);
        return;
    case GATEWAY_SPENT:
        (void)snprintf(text, size,
                       "the task's connection to %s was cut, as it has had all the bytes from and "
                       "to the network that one task may have",
                       place);
        return;
    case GATEWAY_REFUSAL_COUNT:
        break;
    }
    (void)snprintf(text, size, "the task was refused %s", place);
}
