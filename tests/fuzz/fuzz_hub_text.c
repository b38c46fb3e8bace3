/* What the hub reads besides bodies: the first byte chooses among paths, the headers Prefer and
 * Authorization, and addresses to listen on. */
#include "support/replay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hub/access.h"
#include "hub/address.h"
#include "hub/agent.h"
#include "hub/inbox.h"
#include "hub/route.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/utf8.h"

static void try_path(const char *text)
{
    static const char *const methods[] = { "GET", "POST", "PATCH", "DELETE" };

    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        struct route_match m = { 0 };

        switch (route_find(methods[i], text, &m)) {
        case ROUTE_FOUND:
            FUZZ_CHECK(m.route && (!m.target || utf8_is_valid(m.target, strlen(m.target))));
            free(m.target);
            free(m.item);
            break;
        case ROUTE_NO_METHOD:
            FUZZ_CHECK(m.allow[0] != '\0' && strlen(m.allow) < sizeof m.allow - 1);
            break;
        case ROUTE_NO_PATH:
        case ROUTE_BAD_PATH:
            break;
        }
    }
}

static void try_address(const char *text)
{
    struct address a;
    char shown[ADDRESS_TEXT_MAX], again[ADDRESS_TEXT_MAX];

    if (address_parse(text, &a, NULL) < 0)
        return;
    address_text(&a, shown);
    FUZZ_CHECK(address_parse(shown, &a, NULL) == 0);
    FUZZ_CHECK(strcmp(address_text(&a, again), shown) == 0);
}

static void try_header(const char *text)
{
    struct key_claim claim;
    const char *why = NULL;

    FUZZ_CHECK(inbox_parse_prefer(text) <= INBOX_WAIT_MAX_S);
    for (int k = 0; k < KEY_KIND_COUNT; k++) {
        if (access_parse(text, (enum key_kind)k, &claim, &why))
            FUZZ_CHECK(claim.kind == (enum key_kind)k);
        else
            FUZZ_CHECK(why != NULL);
    }
}

static void try_name(const char *text)
{
    char slug[AGENT_SLUG_MAX + 1];

    agent_slug_from_name(text, slug);
    FUZZ_CHECK(agent_slug_is_valid(slug));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const char *) = { try_path, try_header, try_address, try_name };
    AUTO_FREE char *text = NULL;

    if (size == 0)
        return 0;
    text = mem_dup(data + 1, size - 1);
    tries[data[0] % ARRAY_SIZE(tries)](text);
    return 0;
}
