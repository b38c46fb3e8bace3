/* tls.h - TLS as a client, on a connected non-blocking socket of the caller's; the caller waits.
 * TLS 1.2 or later; the server has to show a certificate for the name. Sole home of OpenSSL's
 * headers (libcurl uses the same library). libcurl itself would leave copies of what is sent in
 * memory of its own, here they end in the record that is encrypted.
 * SIGPIPE has to be ignored. */
#pragma once
#include "util/cleanup.h"
#include "util/hostname.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct tls;
struct tls_trust;

/* Whom to trust: nobody yet. Reads OpenSSL's own settings: before files are closed to us. */
int tls_trust_new(struct tls_trust **ret_trust, struct err *err);
/* Certificates in PEM, added. -EINVAL where there is none, or one that can't be read. */
int tls_trust_add(struct tls_trust *t, const char *pem, size_t len, struct err *err);
void tls_trust_free(struct tls_trust *t);
DEFINE_CLEANUP(struct tls_trust *, tls_trust_free);

/* trust outlives it. The last session with the same host is resumed. */
int tls_new(struct tls_trust *trust, int fd, const struct hostname *host, struct tls **ret_tls,
            struct err *err);
/* 0 once it is done; -EAGAIN: again when the socket is ready (tls_wants_write()); -EKEYREJECTED:
 * the certificate won't do; -EPROTO and others, all with what is wrong as a sentence's end. */
int tls_handshake(struct tls *t, struct err *err);
/* What -EAGAIN waits for: the socket to be writable, otherwise to be readable. */
bool tls_wants_write(const struct tls *t);
/* The count, 0 at the orderly end, -EAGAIN, or another negative errno. */
ssize_t tls_recv(struct tls *t, void *bytes, size_t size);
ssize_t tls_send(struct tls *t, const void *bytes, size_t len);
/* Whether there is something to receive that no event of the socket's will tell of. */
bool tls_has_pending(const struct tls *t);
void tls_free(struct tls *t); /* says goodbye if that can be done at once; the socket stays open */
DEFINE_CLEANUP(struct tls *, tls_free);
