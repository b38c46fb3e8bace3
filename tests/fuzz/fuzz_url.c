/* The control plane's URL: what the settings take, libcurl takes too and understands alike, and
 * its normal form is taken again and stays as it is. */
#include "support/replay.h"

#include <string.h>

#include "net/peer.h"
#include "settings/url.h"
#include "util/cleanup.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *url = mem_dup(data, size);
    AUTO_FREE char *normal = url_normal(url);
    AUTO_FREE char *twice = url_normal(normal);
    const char *why = url_check(url);
    char peer[PEER_MAX] = "";

    FUZZ_CHECK(strcmp(normal, twice) == 0);
    (void)url_is_exposed(url);
    if (why) {
        FUZZ_CHECK(why[0] != '\0');
        (void)peer_parse(url, peer);
        return 0;
    }
    FUZZ_CHECK(strncmp(normal, "http://", 7) == 0 || strncmp(normal, "https://", 8) == 0);
    FUZZ_CHECK(url_check(normal) == NULL);
    FUZZ_CHECK(url_is_exposed(url) == url_is_exposed(normal));
    FUZZ_CHECK(peer_parse(normal, peer) == 0 && peer_is_clean(peer) && strchr(peer, ':'));
    return 0;
}
