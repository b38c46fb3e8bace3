#include "net/failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"
#include "util/err.h"

#define PROXY_HINT "check server.proxy, or https_proxy, http_proxy and no_proxy in the environment"

/* Texts end here: cut where too long, which is fine for a person. */
#define SAY(outcome, ...) ((void)snprintf(text, size, __VA_ARGS__), (outcome))

/* Whether it was this machine that had too little of something; nobody else need be asked. */
static bool is_shortage(const struct failure_facts *f)
{
    return f->os_errno != EAGAIN && f->os_errno != EINTR && err_is_shortage(-(int)f->os_errno);
}

static enum http_outcome explain_shortage(const struct failure_facts *f, char *text, size_t size)
{
    return SAY(HTTP_UNREACHABLE,
               "the connection to %s failed: %s: this machine is short of it; raise the limits of "
               "memory and open files, or end what uses them up",
               f->peer, strerror((int)f->os_errno));
}

/* libcurl 7.88 keeps to itself what getaddrinfo(3) said (lib/asyn-thread.c), where a shortage has
 * codes of its own: EAI_MEMORY, EAI_SYSTEM. What can be seen from here is whether its thread began,
 * and os_errno. */
static enum http_outcome explain_resolve(const struct failure_facts *f, char *text, size_t size)
{
    if (strstr(f->detail, "thread failed to start"))
        return SAY(HTTP_UNREACHABLE,
                   "the name in %s can't be resolved: no thread for it can be started: this "
                   "machine is short of memory or processes; raise their limits, or end what uses "
                   "them up",
                   f->peer);
    if (is_shortage(f))
        return explain_shortage(f, text, size);
    return SAY(HTTP_UNREACHABLE,
               "the name in %s can't be resolved: check %s, this machine's DNS, and that it isn't "
               "short of memory",
               f->peer, f->url_name);
}

static enum http_outcome explain_connect(const struct failure_facts *f, char *text, size_t size)
{
    if (f->connect_code == 407)
        return SAY(HTTP_UNREACHABLE,
                   "the proxy wants credentials before it connects to %s (status 407): " PROXY_HINT,
                   f->peer);
    if (f->connect_code >= 300)
        return SAY(HTTP_UNREACHABLE, "the proxy refused to connect to %s (status %ld): " PROXY_HINT,
                   f->peer, f->connect_code);
    if (is_shortage(f))
        return explain_shortage(f, text, size);
    if (f->proxied)
        return SAY(HTTP_UNREACHABLE, "no connection to %s through the proxy: %s; " PROXY_HINT,
                   f->peer, f->os_errno ? strerror((int)f->os_errno) : "the proxy does not answer");
    if (f->os_errno == ECONNREFUSED)
        return SAY(HTTP_UNREACHABLE,
                   "%s refused the connection: check that the server runs and that %s names "
                   "the right port",
                   f->peer, f->url_name);
    return SAY(HTTP_UNREACHABLE, "no connection to %s: %s; check %s, the network and the firewall",
               f->peer, f->os_errno ? strerror((int)f->os_errno) : "the server can't be reached",
               f->url_name);
}

static enum http_outcome explain_cut(const struct failure_facts *f, char *text, size_t size)
{
    if (f->connect_code >= 300)
        return explain_connect(f, text, size);
    if (is_shortage(f))
        return explain_shortage(f, text, size);
    if (f->proxied && !f->connected)
        return SAY(HTTP_UNREACHABLE,
                   "the proxy ended the connection to %s before it stood: " PROXY_HINT, f->peer);
    if (f->got_headers)
        return SAY(HTTP_BROKEN,
                   "the answer of %s was cut short or badly framed: check what lies between (a "
                   "proxy, a load balancer with a short timeout)",
                   f->peer);
    return SAY(HTTP_UNREACHABLE,
               "%s closed the connection without an answer: check that it is an HTTP server and "
               "that it is healthy",
               f->peer);
}

static enum http_outcome explain_timeout(const struct failure_facts *f, char *text, size_t size)
{
    char span[32];

    return SAY(HTTP_UNREACHABLE,
               "no connection to %s within %s: check %s, the network and the firewall%s", f->peer,
               clock_span(span, f->connect_timeout_ms), f->url_name,
               f->proxied ? ", and the proxy" : "");
}

static enum http_outcome explain_tls(const struct failure_facts *f, char *text, size_t size)
{
    return SAY(HTTP_TLS,
               "no trusted TLS connection to %s: %s; check %s, this machine's clock, and "
               "server.ca_file where the server's certificate comes from a private authority",
               f->peer, f->detail[0] ? f->detail : "the handshake failed", f->url_name);
}

static enum http_outcome explain_too_large(const struct failure_facts *f, char *text, size_t size)
{
    if (f->headers_too_large)
        return SAY(HTTP_BROKEN, "the header of the answer of %s is too large: check %s", f->peer,
                   f->url_name);
    return SAY(HTTP_TOO_LARGE, "the answer of %s is larger than the %zu bytes that are allowed",
               f->peer, f->max_response_bytes);
}

enum http_outcome failure_explain(CURLcode result, const struct failure_facts *f, char *text,
                                  size_t size)
{
    if (f->headers_too_large || f->body_too_large)
        return explain_too_large(f, text, size);
    if (f->stopped)
        return SAY(HTTP_STOPPED, "the rest of the answer of %s was not wanted", f->peer);
    switch ((int)result) { /* as a number: the rest of curl's list is no business of ours */
    case CURLE_COULDNT_RESOLVE_HOST:
        return explain_resolve(f, text, size);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return SAY(HTTP_UNREACHABLE, "the name of the proxy for %s can't be resolved: " PROXY_HINT,
                   f->peer);
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
        return explain_connect(f, text, size);
    case CURLE_OPERATION_TIMEDOUT:
        return explain_timeout(f, text, size);
    case CURLE_SSL_CACERT_BADFILE:
        return SAY(HTTP_TLS,
                   "the certificates to check %s with can't be read: check server.ca_file, or "
                   "install ca-certificates",
                   f->peer);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_INITFAILED:
        return explain_tls(f, text, size);
    case CURLE_FILESIZE_EXCEEDED:
        return explain_too_large(f, text, size);
    case CURLE_OUT_OF_MEMORY: /* also what libcurl says of a line past its own bound */
        return SAY(
            HTTP_BROKEN,
            "a line in the header of the answer of %s is too large, or this machine is short "
            "of memory: check %s",
            f->peer, f->url_name);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return explain_cut(f, text, size);
    case CURLE_UNSUPPORTED_PROTOCOL:
        if (!f->connected)
            return SAY(HTTP_BROKEN, "%s: only http and https are spoken here: check %s", f->peer,
                       f->url_name);
        return SAY(HTTP_BROKEN,
                   "what %s answered is not HTTP/1: check that %s names the right port", f->peer,
                   f->url_name);
    default:
        return SAY(HTTP_BROKEN, "the request to %s failed: %s", f->peer,
                   curl_easy_strerror(result));
    }
}

enum http_outcome failure_explain_deadline(const struct failure_facts *f, char *text, size_t size)
{
    char span[32];

    if (!f->connected)
        return SAY(HTTP_TIMEOUT,
                   "no connection to %s within %s: check %s, DNS, the network and the "
                   "firewall%s",
                   f->peer, clock_span(span, f->timeout_ms), f->url_name,
                   f->proxied ? ", and the proxy" : "");
    if (f->got_headers)
        return SAY(HTTP_TIMEOUT, "the answer of %s was not complete after %s", f->peer,
                   clock_span(span, f->timeout_ms));
    return SAY(HTTP_TIMEOUT, "%s accepted the connection but did not answer within %s", f->peer,
               clock_span(span, f->timeout_ms));
}

enum http_outcome failure_explain_stall(const struct failure_facts *f, char *text, size_t size)
{
    char span[32];

    if (!f->got_headers)
        return failure_explain_deadline(f, text, size);
    return SAY(HTTP_TIMEOUT,
               "the answer of %s began, and then nothing came for %s: check the server, and what "
               "lies between",
               f->peer, clock_span(span, f->timeout_ms));
}
