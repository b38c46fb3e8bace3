#include "net/peer.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>

#include "util/str.h"

bool peer_is_clean(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

int peer_parse(const char *url, char peer[PEER_MAX])
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    int rc = -EINVAL;

    if (u && peer_is_clean(url) &&
        curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        (str_eq(scheme, "http") || str_eq(scheme, "https"))) {
        int len = snprintf(peer, PEER_MAX, "%s:%s", host, port);

        rc = len > 0 && len < PEER_MAX ? 0 : -EINVAL;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return rc;
}
