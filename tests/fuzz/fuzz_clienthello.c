/* The first bytes of a tunnel. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "egress/clienthello.h"
#include "util/cleanup.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() isn't there in an optimised build. */
static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE uint8_t *bytes = mem_dup(data, size); /* its end is watched */
    struct hostname name, again;
    enum clienthello_verdict verdict = clienthello_read(bytes, size, &name);

    if (verdict != CLIENTHELLO_NAME)
        return 0;
    must(name.kind == HOSTNAME_NAME);
    must(hostname_parse(name.text, strlen(name.text), &again, NULL) == 0);
    must(strcmp(again.text, name.text) == 0);
    /* A verdict stands: what comes later changes nothing. */
    bytes = mem_realloc(bytes, size + 1);
    bytes[size] = 0;
    must(clienthello_read(bytes, size + 1, &again) == verdict &&
         strcmp(again.text, name.text) == 0);
    return 0;
}
