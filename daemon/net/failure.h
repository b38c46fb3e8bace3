/* failure.h - what a CURLcode means: an outcome, and a sentence that says what to check.
 * Internal to net/. Pure. The sentence names host and port and never holds a header, a URL's path
 * or a proxy's credentials. */
#pragma once
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/http.h"

struct failure_facts {
    const char *peer;            /* "host:port" of the URL */
    const char *url_name;        /* what the user calls the setting that holds it */
    const char *detail;          /* curl's error buffer, "" if empty */
    long os_errno;               /* CURLINFO_OS_ERRNO, or of a socket that can't be made */
    long connect_code;           /* the proxy's answer to CONNECT, 0 if none */
    bool proxied;                /* a proxy is configured */
    bool got_headers;            /* some of an answer had arrived */
    bool headers_too_large;      /* we gave up on the header */
    bool body_too_large;         /* we gave up on the body */
    bool stopped;                /* who takes the body wanted no more of it */
    bool connected;              /* the connection stood */
    uint32_t connect_timeout_ms; /* in force */
    uint32_t timeout_ms;         /* in force */
    size_t max_response_bytes;   /* in force */
};

/* result: not CURLE_OK. text: at most size - 1 bytes are written. */
enum http_outcome failure_explain(CURLcode result, const struct failure_facts *facts, char *text,
                                  size_t size);
/* The same for our own deadline, which is not curl's. */
enum http_outcome failure_explain_deadline(const struct failure_facts *facts, char *text,
                                           size_t size);
/* The same where nothing came for timeout_ms. */
enum http_outcome failure_explain_stall(const struct failure_facts *facts, char *text, size_t size);
