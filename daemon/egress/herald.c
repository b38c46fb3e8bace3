#include "egress/herald.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "util/str.h"

/* Blocks while the spawner is behind, which is never for long: GATEWAY_REFUSALS_MAX fit. A spawner
 * that is gone shows as the socket's end. */
static int tell(const struct herald *h, const struct gateway_word *w)
{
    return send(h->words, w, sizeof *w, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void herald_refuse(struct herald *h, enum gateway_refusal why, const struct hostname *host,
                   uint16_t port, const char *detail)
{
    struct gateway_word w;

    memset(&w, 0, sizeof w); /* no stray bytes of ours in the gaps */
    w.kind = GATEWAY_REFUSED;
    w.why = why;
    (void)hostname_with_port(w.place, host, port);
    (void)snprintf(w.detail, sizeof w.detail, "%s", detail ? detail : "");
    for (size_t i = 0; i < h->count; i++)
        if (h->told[i].why == why && str_eq(h->told[i].place, w.place))
            return;
    if (h->count == GATEWAY_REFUSALS_MAX)
        return;
    h->told[h->count].why = why;
    memcpy(h->told[h->count++].place, w.place, sizeof w.place);
    (void)tell(h, &w); /* a word in the log that is missing, or its end says it */
}

int herald_ready(const struct herald *h)
{
    struct gateway_word w;

    memset(&w, 0, sizeof w);
    w.kind = GATEWAY_READY;
    return tell(h, &w);
}

void herald_fail(const struct herald *h, const struct err *err)
{
    struct gateway_word w;

    memset(&w, 0, sizeof w);
    w.kind = GATEWAY_FAILED;
    w.failure = err->code;
    (void)snprintf(w.error, sizeof w.error, "%s", err->text);
    (void)tell(h, &w); /* a word in the log that is missing, or its end says it */
}
