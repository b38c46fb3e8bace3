/* An entry of sandbox.network.allow: refused with a sentence, or one that is printed in its one
 * form, which is read back as the same, and that matches the host it names. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "settings/allow.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf once = { 0 }, twice = { 0 };
    AUTO_FREE char *text = mem_dup(data, size);
    struct hostname host;
    struct allow a, again;
    struct err err = { 0 };
    int r = allow_parse(text, &a, &err);

    if (hostname_parse((const char *)data, size, &host, NULL) == 0) {
        FUZZ_CHECK(host.text[0] && strlen(host.text) <= HOSTNAME_MAX);
        FUZZ_CHECK(!strpbrk(host.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ[]/@ "));
    }
    if (r < 0) {
        FUZZ_CHECK(r == -EINVAL && err.text[0]);
        return 0;
    }
    allow_print(&a, &once);
    FUZZ_CHECK(allow_parse(buf_str(&once), &again, NULL) == 0);
    allow_print(&again, &twice);
    FUZZ_CHECK(strcmp(buf_str(&once), buf_str(&twice)) == 0);
    FUZZ_CHECK(a.is_wildcard == again.is_wildcard && a.port == again.port);
    FUZZ_CHECK(a.grants == again.grants && strcmp(a.host.text, again.host.text) == 0);
    /* a wildcard stands for what is below its name and not for the name itself */
    FUZZ_CHECK(allow_matches(&a, &a.host, a.port ? a.port : 443) == !a.is_wildcard);
    FUZZ_CHECK(a.port == ALLOW_ANY_PORT || !allow_matches(&a, &a.host, a.port ^ 1));
    return 0;
}
