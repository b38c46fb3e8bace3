#include "egress/locals.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "util/mem.h"

struct locals {
    struct in6_addr *items; /* those of IPv4 mapped into IPv6 */
    size_t count;
};

/* False for what is neither IPv4 nor IPv6. */
static bool normalize(const struct sockaddr *address, struct in6_addr *ret_normal)
{
    static const uint8_t mapped[12] = { [10] = 0xff, 0xff },
                         translated[12] = { 0x00, 0x64, 0xff, 0x9b };
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (address->sa_family == AF_INET) {
        memcpy(&four, address, sizeof four);
        memcpy(ret_normal->s6_addr, mapped, sizeof mapped);
        memcpy(ret_normal->s6_addr + sizeof mapped, &four.sin_addr, sizeof four.sin_addr);
        return true;
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&six, address, sizeof six);
    *ret_normal = six.sin6_addr;
    if (memcmp(ret_normal->s6_addr, translated, sizeof translated) == 0)
        memcpy(ret_normal->s6_addr, mapped, sizeof mapped);
    return true;
}

int locals_new(struct locals **ret_locals, struct err *err)
{
    CLEANUP_PTR(locals_free) struct locals *l = NULL;
    struct ifaddrs *found;
    size_t most = 0;

    if (getifaddrs(&found) < 0)
        return err_set(err, -errno, "ask for the machine's own addresses: %s", strerror(errno));
    for (const struct ifaddrs *i = found; i; i = i->ifa_next)
        most++;
    l = mem_new(struct locals);
    l->items = mem_calloc(most + 1, sizeof l->items[0]);
    for (const struct ifaddrs *i = found; i; i = i->ifa_next)
        if (i->ifa_addr && normalize(i->ifa_addr, &l->items[l->count]))
            l->count++;
    freeifaddrs(found);
    *ret_locals = TAKE_PTR(l);
    return 0;
}

void locals_free(struct locals *l)
{
    if (!l)
        return;
    free(l->items);
    free(l);
}

bool locals_have(const struct locals *l, const struct sockaddr *address)
{
    struct in6_addr normal;

    if (!normalize(address, &normal))
        return false;
    for (size_t i = 0; i < l->count; i++)
        if (memcmp(&l->items[i], &normal, sizeof normal) == 0)
            return true;
    return false;
}
