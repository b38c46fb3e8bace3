#include "hub/cipher.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "hub/db.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/secret.h"

enum {
    KEY_BYTES = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    PRINT_BYTES = 16,
    FORMAT = 1 /* the first byte of what is sealed */
};
_Static_assert(CIPHER_OVERHEAD == 1 + NONCE_BYTES + TAG_BYTES, "the header says so");

struct cipher {
    struct secret *key;
    uint8_t print[PRINT_BYTES]; /* tells keys apart, and nothing about them */
};

static const unsigned char *key_of(const struct cipher *c)
{
    return (const unsigned char *)secret_text(c->key);
}

void cipher_free(struct cipher *c)
{
    if (!c)
        return;
    secret_free(c->key);
    free(c);
}

/* ---- the key's file ---- */

static int from_bytes(const uint8_t bytes[KEY_BYTES], struct cipher **ret_cipher, struct err *err)
{
    static const char purpose[] = "nairi-hub secrets key";
    CLEANUP_PTR(cipher_free) struct cipher *c = mem_new(struct cipher);
    int rc = secret_new(bytes, KEY_BYTES, &c->key, err);

    if (rc < 0)
        return rc;
    /* the lengths are within what libsodium allows: can't fail */
    (void)crypto_generichash(c->print, sizeof c->print, (const unsigned char *)purpose,
                             sizeof purpose, bytes, KEY_BYTES);
    *ret_cipher = TAKE_PTR(c);
    return 0;
}

static int load(const char *path, struct cipher **ret_cipher, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *text = NULL;
    uint8_t bytes[KEY_BYTES];
    size_t len = 0;
    int rc = secret_load(path, &text, err);

    if (rc < 0)
        return rc;
    if (secret_len(text) != 2 * sizeof bytes ||
        sodium_hex2bin(bytes, sizeof bytes, secret_text(text), secret_len(text), NULL, &len, NULL) <
            0 ||
        len != sizeof bytes)
        rc = err_set(err, -EKEYREJECTED,
                     "'%s' is no key file of nairi-hub: it would hold %zu hex digits; restore it, "
                     "or name the right one with --secrets-key",
                     path, 2 * sizeof bytes);
    else
        rc = from_bytes(bytes, ret_cipher, err);
    secret_wipe(bytes, sizeof bytes);
    return rc;
}

static int make(const char *path, struct cipher **ret_cipher, struct err *err)
{
    uint8_t bytes[KEY_BYTES];
    char text[2 * KEY_BYTES + 2];
    int rc;

    random_bytes(bytes, sizeof bytes);
    (void)sodium_bin2hex(text, sizeof text, bytes, sizeof bytes); /* returns text */
    text[2 * sizeof bytes] = '\n';
    rc = fd_write_file(path, text, 2 * sizeof bytes + 1, 0600, err);
    if (rc < 0)
        err_prefix(err, "make the key file");
    else
        rc = from_bytes(bytes, ret_cipher, err);
    secret_wipe(text, sizeof text);
    secret_wipe(bytes, sizeof bytes);
    return rc;
}

/* ---- the key and the database ---- */

/* Whether the database was last used with this key. 1, 0, or a negative errno. */
static int is_the_same(struct db *db, const struct cipher *c)
{
    struct query *q = db_query(db, "SELECT print FROM secrets_key", "");
    int rc = query_next(q);

    if (rc > 0)
        rc = query_bytes(q, 0) == PRINT_BYTES &&
             memcmp(query_blob(q, 0), c->print, PRINT_BYTES) == 0;
    query_end(q);
    return rc;
}

static int remember(struct db *db, const struct cipher *c)
{
    int64_t rc = db_run(db, "DELETE FROM secrets_key", "");

    if (rc >= 0)
        rc = db_run(db, "INSERT INTO secrets_key (print) VALUES (?1)", "b", c->print,
                    sizeof c->print);
    return rc < 0 ? (int)rc : 0;
}

static int read_failed(struct db *db, int rc, struct err *err)
{
    return err_set(err, rc, "read what the database says of its key: %s", db_error(db));
}

static int attach(struct db *db, const char *path, struct cipher **ret_cipher, struct err *err)
{
    CLEANUP_PTR(cipher_free) struct cipher *c = NULL;
    int64_t sealed = 0;
    int same;
    int rc = db_get(db, &sealed,
                    "SELECT EXISTS (SELECT 1 FROM env_vars)"
                    " OR EXISTS (SELECT 1 FROM vault_secrets)"
                    " OR EXISTS (SELECT 1 FROM artifacts WHERE sealed IS NOT NULL)",
                    "");

    if (rc < 0)
        return read_failed(db, rc, err);
    rc = load(path, &c, err);
    if (rc == -ENOENT && sealed)
        return err_set(err, -ENOKEY,
                       "the key file '%s' is missing, and the database holds secrets that only it "
                       "opens: restore it, or name it with --secrets-key",
                       path);
    if (rc == -ENOENT)
        rc = make(path, &c, err);
    if (rc < 0)
        return rc;
    same = is_the_same(db, c);
    if (same < 0)
        return read_failed(db, same, err);
    if (!same && sealed)
        return err_set(err, -EKEYREJECTED,
                       "'%s' is not the key that this database's secrets were sealed with: restore "
                       "that one, or name it with --secrets-key",
                       path);
    rc = same ? 0 : remember(db, c);
    if (rc < 0)
        return err_set(err, rc, "write to the database whose key it has: %s", db_error(db));
    *ret_cipher = TAKE_PTR(c);
    return 0;
}

int cipher_prepare(struct db *db, const char *path, struct cipher **ret_cipher, struct err *err)
{
    CLEANUP_PTR(cipher_free) struct cipher *c = NULL;
    int rc = db_script(db, "BEGIN IMMEDIATE");

    if (rc < 0)
        return err_set(err, rc, "lock the database: %s", db_error(db));
    rc = attach(db, path, &c, err);
    if (rc < 0) {
        (void)db_script(db, "ROLLBACK"); /* SQLite may have done so already */
        return rc;
    }
    rc = db_script(db, "COMMIT");
    if (rc < 0)
        return err_set(err, rc, "write to the database whose key it has: %s", db_error(db));
    *ret_cipher = TAKE_PTR(c);
    return 0;
}

/* ---- values ---- */

void cipher_seal(const struct cipher *c, const char *label, const void *bytes, size_t len,
                 struct buf *b)
{
    unsigned char *out = (unsigned char *)buf_reserve(b, len + CIPHER_OVERHEAD);

    out[0] = FORMAT;
    random_bytes(out + 1, NONCE_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE_BYTES, NULL, bytes, len,
                                                     (const unsigned char *)label, strlen(label),
                                                     NULL, out + 1, key_of(c)); /* always 0 */
    b->len += len + CIPHER_OVERHEAD;
}

int cipher_unseal(const struct cipher *c, const char *label, const void *sealed, size_t len,
                  struct buf *b)
{
    const unsigned char *in = sealed;
    unsigned char *out;

    if (len < CIPHER_OVERHEAD || in[0] != FORMAT)
        return -EBADMSG;
    out = (unsigned char *)buf_reserve(b, len - CIPHER_OVERHEAD + 1);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            out, NULL, NULL, in + 1 + NONCE_BYTES, len - 1 - NONCE_BYTES,
            (const unsigned char *)label, strlen(label), in + 1, key_of(c)) < 0)
        return -EBADMSG;
    b->len += len - CIPHER_OVERHEAD;
    b->data[b->len] = '\0';
    return 0;
}
