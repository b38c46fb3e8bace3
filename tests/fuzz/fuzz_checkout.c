/* A repository's config: what it names is a host and a path that can stand in a header and leads
 * nowhere, or nothing. */
#include "support/replay.h"

#include <string.h>

#include "settings/checkout.h"
#include "settings/namespace.h"
#include "util/cleanup.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *whole = mem_dup(data, size);
    AUTO_FREE char *url = checkout_origin((const char *)data, size);
    AUTO_FREE char *id = checkout_of_url(url ? url : whole);
    AUTO_FREE char *namespace = namespace_make(id ? id : whole);

    FUZZ_CHECK(namespace[0] != '\0' && namespace[0] != '.' && !strchr(namespace, '/') &&
               strlen(namespace) <= NAMESPACE_MAX);
    if (!id)
        return 0;
    FUZZ_CHECK(strlen(id) <= CHECKOUT_ID_MAX && strchr(id, '/') > id && !strstr(id, "/../"));
    for (const char *c = id; *c; c++)
        FUZZ_CHECK(*c > ' ' && *c < 0x7f && *c != '@' && *c != ':');
    return 0;
}
