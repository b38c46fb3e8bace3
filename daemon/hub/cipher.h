/* cipher.h - what is kept encrypted in the database: env vars, vault secrets, MCP configurations.
 * XChaCha20-Poly1305 under a key of 32 random bytes, which stands as 64 hex digits in a file of its
 * own (0600, made by the first start of the hub). Each value is bound to its label, the id of its
 * row, so that values can't be swapped within the database. A backup of the database is worth
 * nothing without that file, and no secret is lost with a stolen one.
 * Source: libsodium, crypto_aead_xchacha20poly1305_ietf_*(). */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>

struct buf;
struct cipher;
struct db;
struct err;

enum { CIPHER_OVERHEAD = 1 + 24 + 16 }; /* bytes by which a sealed value is longer */

/* Loads the key, or makes one where there is neither a file nor anything sealed. -ENOKEY: the file
 * is missing, and the database needs it. -EKEYREJECTED: it holds no key, or another one than the
 * database was sealed with. In a transaction of its own. */
int cipher_prepare(struct db *db, const char *path, struct cipher **ret_cipher, struct err *err);
void cipher_free(struct cipher *c);
DEFINE_CLEANUP(struct cipher *, cipher_free);

/* Appends the sealed value to b. */
void cipher_seal(const struct cipher *c, const char *label, const void *bytes, size_t len,
                 struct buf *b);
/* Appends what was sealed, to be wiped by the caller. -EBADMSG if it was changed, or sealed for
 * another label or under another key. */
int cipher_unseal(const struct cipher *c, const char *label, const void *sealed, size_t len,
                  struct buf *b);
