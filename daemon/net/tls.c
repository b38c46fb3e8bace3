#include "net/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

struct tls_trust {
    SSL_CTX *ctx;
    SSL_SESSION *session;  /* of the last connection, so that the next one is made faster */
    struct hostname whose; /* whom that one was with */
};

struct tls {
    SSL *ssl;
    struct hostname host;
    bool wants_write;
};

/* ---- whom to trust ---- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_trust *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls *with = SSL_get_app_data(ssl);

    SSL_SESSION_free(t->session);
    t->session = session;
    t->whose = with->host;
    return 1; /* it is ours now */
}

int tls_trust_new(struct tls_trust **ret_trust, struct err *err)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    CLEANUP_PTR(tls_trust_free) struct tls_trust *t = mem_new(struct tls_trust);

    t->ctx = SSL_CTX_new(TLS_client_method());
    if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_alpn_protos(t->ctx, alpn, sizeof alpn - 1) != 0)
        return err_set(err, -ENOMEM, "prepare TLS: %s", ERR_reason_error_string(ERR_peek_error()));
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(t->ctx, t);
    SSL_CTX_sess_set_new_cb(t->ctx, on_session);
    *ret_trust = TAKE_PTR(t);
    return 0;
}

int tls_trust_add(struct tls_trust *t, const char *pem, size_t len, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    X509_STORE *store = SSL_CTX_get_cert_store(t->ctx);
    unsigned long why;
    size_t count = 0;
    X509 *x;

    if (!bio)
        return err_set(err, -ENOMEM, "read certificates: no memory");
    ERR_clear_error();
    while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(store, x) == 1;
        X509_free(x);
    }
    why = ERR_peek_last_error();
    ERR_clear_error();
    BIO_free(bio);
    if (count == 0 || ERR_GET_REASON(why) != PEM_R_NO_START_LINE) /* which is the end */
        return err_set(err, -EINVAL, "%s",
                       count == 0 ? "there is no certificate in it"
                                  : "a certificate in it can't be read");
    return 0;
}

void tls_trust_free(struct tls_trust *t)
{
    if (!t)
        return;
    SSL_SESSION_free(t->session);
    SSL_CTX_free(t->ctx);
    free(t);
}

/* ---- a connection ---- */

static bool set_host(SSL *ssl, const struct hostname *host)
{
    char name[HOSTNAME_SIZE]; /* OpenSSL's macro casts a const away */

    if (host->kind != HOSTNAME_NAME)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host->text) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    strcpy(name, host->text);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* Who resumes a session shows no certificate again: it is for that host only. */
static bool is_with(const struct tls_trust *trust, const struct hostname *host)
{
    return trust->session && trust->whose.kind == host->kind &&
           str_eq(trust->whose.text, host->text);
}

int tls_new(struct tls_trust *trust, int fd, const struct hostname *host, struct tls **ret_tls,
            struct err *err)
{
    CLEANUP_PTR(tls_free) struct tls *t = mem_new(struct tls);

    t->host = *host;
    t->ssl = SSL_new(trust->ctx);
    if (!t->ssl || SSL_set_app_data(t->ssl, t) != 1 || !set_host(t->ssl, host) ||
        SSL_set_fd(t->ssl, fd) != 1)
        return err_set(err, -ENOMEM, "prepare TLS: %s", ERR_reason_error_string(ERR_peek_error()));
    if (is_with(trust, host))
        (void)SSL_set_session(t->ssl, trust->session); /* it only makes it faster */
    SSL_set_connect_state(t->ssl);
    *ret_tls = TAKE_PTR(t);
    return 0;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    ERR_clear_error();
    if (t->ssl && SSL_is_init_finished(t->ssl))
        (void)SSL_shutdown(t->ssl); /* whether it arrives doesn't matter any more */
    SSL_free(t->ssl);
    ERR_clear_error();
    free(t);
}

/* What an operation that returned n means: negative, or 0 for the end. */
static int outcome(struct tls *t, int n)
{
    int error = errno;

    switch (SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        t->wants_write = false;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->wants_write = true;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return error != 0 ? -error : -ECONNRESET;
    default:
        return -EPROTO;
    }
}

int tls_handshake(struct tls *t, struct err *err)
{
    long verdict;
    const char *why;
    int n, r;

    ERR_clear_error();
    errno = 0;
    n = SSL_do_handshake(t->ssl);
    if (n == 1)
        return 0;
    r = outcome(t, n);
    if (r == -EAGAIN)
        return r;
    verdict = SSL_get_verify_result(t->ssl);
    if (verdict != X509_V_OK)
        return err_set(err, -EKEYREJECTED, "its certificate is not to be trusted: %s",
                       X509_verify_cert_error_string(verdict));
    if (r != -EPROTO)
        return err_set(err, r == 0 ? -ECONNRESET : r, "it ends the TLS handshake: %s",
                       strerror(r == 0 ? ECONNRESET : -r));
    why = ERR_reason_error_string(ERR_peek_error());
    return err_set(err, -EPROTO, "the TLS handshake fails: %s", why ? why : "no reason is given");
}

bool tls_wants_write(const struct tls *t)
{
    return t->wants_write;
}

ssize_t tls_recv(struct tls *t, void *bytes, size_t size)
{
    size_t got = 0;
    int n;

    ERR_clear_error();
    errno = 0;
    n = SSL_read_ex(t->ssl, bytes, size, &got);
    return n == 1 ? (ssize_t)got : outcome(t, n);
}

ssize_t tls_send(struct tls *t, const void *bytes, size_t len)
{
    size_t sent = 0;
    int n, r;

    ERR_clear_error();
    errno = 0;
    n = SSL_write_ex(t->ssl, bytes, len, &sent);
    if (n == 1) {
        t->wants_write = false; /* else who has nothing to send would still wait to */
        return (ssize_t)sent;
    }
    r = outcome(t, n);
    return r == 0 ? -EPIPE : r;
}

bool tls_has_pending(const struct tls *t)
{
    return SSL_has_pending(t->ssl) == 1;
}
