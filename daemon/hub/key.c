#include "hub/key.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "hub/db.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/random.h"
#include "util/str.h"
#include "util/ulid.h"

enum { SECRET_BYTES = 32, SECRET_CHARS = 43 };

static const struct kind {
    const char *name;
    const char *prefix;
} kinds[] = {
    [KEY_ORG] = { "org", "nr_" },
    [KEY_AGENT] = { "agent", "nairid_" },
};
static_assert(ARRAY_SIZE(kinds) == KEY_KIND_COUNT, "a row for each kind");

static void hash_text(const char *text, size_t len, uint8_t hash[KEY_HASH_BYTES])
{
    /* fails only for sizes out of range, which these are not */
    (void)crypto_generichash(hash, KEY_HASH_BYTES, (const unsigned char *)text, len, NULL, 0);
}

void key_make(enum key_kind kind, char text[KEY_TEXT_MAX])
{
    uint8_t bytes[SECRET_BYTES];
    size_t len = strlen(kinds[kind].prefix);

    random_bytes(bytes, sizeof bytes);
    memcpy(text, kinds[kind].prefix, len);
    (void)sodium_bin2base64(text + len, KEY_TEXT_MAX - len, bytes, sizeof bytes,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING); /* returns text + len */
    sodium_memzero(bytes, sizeof bytes);
}

static bool is_secret_part(const char *s, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    return len == SECRET_CHARS && strspn(s, alphabet) >= len;
}

int key_parse(const char *text, size_t len, struct key_claim *ret_claim)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t prefix_len = strlen(kinds[i].prefix);

        if (len < prefix_len || memcmp(text, kinds[i].prefix, prefix_len) != 0)
            continue;
        if (!is_secret_part(text + prefix_len, len - prefix_len))
            return -EINVAL;
        ret_claim->kind = (enum key_kind)i;
        hash_text(text, len, ret_claim->hash);
        return 0;
    }
    return -EINVAL;
}

const char *key_prefix(enum key_kind kind)
{
    return kinds[kind].prefix;
}

const char *key_kind_name(enum key_kind kind)
{
    return kinds[kind].name;
}

static int64_t lookup_number(const uint8_t hash[KEY_HASH_BYTES])
{
    int64_t n;

    memcpy(&n, hash, sizeof n);
    return n;
}

int key_store(struct db *db, const struct key_claim *claim, const char *name, int64_t agent,
              int64_t wall_ms, char *ret_id)
{
    uint8_t entropy[10];
    int64_t rc;

    random_bytes(entropy, sizeof entropy);
    ulid_make(ret_id, "key", wall_ms, entropy);
    rc = db_run(db,
                "INSERT INTO keys (id, kind, name, agent, lookup, hash, created_ms)"
                " VALUES (?1, ?2, ?3, nullif(?4, 0), ?5, ?6, ?7)",
                "tttiibi", ret_id, kinds[claim->kind].name, name, agent, lookup_number(claim->hash),
                claim->hash, sizeof claim->hash, wall_ms);
    return rc < 0 ? (int)rc : 0;
}

int key_find(struct db *db, const struct key_claim *claim, struct key_found *ret_found)
{
    struct query *q = db_query(db,
                               "SELECT hash, agent, id, expires_ms FROM keys"
                               " WHERE lookup = ?1 AND kind = ?2 AND revoked_ms IS NULL",
                               "it", lookup_number(claim->hash), kinds[claim->kind].name);
    int rc;

    while ((rc = query_next(q)) > 0) {
        if (query_bytes(q, 0) != KEY_HASH_BYTES ||
            sodium_memcmp(query_blob(q, 0), claim->hash, KEY_HASH_BYTES) != 0)
            continue;
        ret_found->agent = query_i64(q, 1);
        snprintf(ret_found->id, sizeof ret_found->id, "%s", query_text(q, 2));
        ret_found->expires_ms = query_i64(q, 3);
        break;
    }
    query_end(q);
    return rc;
}

#define USABLE " revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?2)"

int key_kind_of(struct db *db, const char *id, int64_t wall_ms, enum key_kind *ret_kind)
{
    struct query *q =
        db_query(db, "SELECT kind FROM keys WHERE id = ?1 AND" USABLE, "ti", id, wall_ms);
    int rc = query_next(q);

    if (rc > 0)
        *ret_kind = str_eq(query_text(q, 0), kinds[KEY_ORG].name) ? KEY_ORG : KEY_AGENT;
    query_end(q);
    return rc;
}

int key_rotate(struct db *db, const char *id, const struct key_claim *claim, int64_t old_until_ms,
               int64_t wall_ms, char *ret_new_id)
{
    uint8_t entropy[10];
    int64_t rc;

    random_bytes(entropy, sizeof entropy);
    ulid_make(ret_new_id, "key", wall_ms, entropy);
    rc = db_run(db,
                "INSERT INTO keys (id, kind, name, agent, lookup, hash, created_ms)"
                " SELECT ?3, kind, name, agent, ?4, ?5, ?2 FROM keys"
                " WHERE id = ?1 AND kind = ?6 AND" USABLE,
                "titibt", id, wall_ms, ret_new_id, lookup_number(claim->hash), claim->hash,
                sizeof claim->hash, kinds[claim->kind].name);
    if (rc > 0)
        rc = db_run(db,
                    "UPDATE keys SET expires_ms = min(coalesce(expires_ms, ?2), ?2) WHERE id = ?1",
                    "ti", id, old_until_ms);
    return (int)rc;
}

int key_revoke(struct db *db, const char *id, int64_t wall_ms)
{
    return (int)db_run(db, "UPDATE keys SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms IS NULL",
                       "ti", id, wall_ms);
}

static void list_end(struct query *q, int64_t wall_ms, struct buf *b)
{
    char text[32];

    if (!query_is_null(q, 4))
        buf_printf(b, "revoked %s\n", clock_rfc3339(text, query_i64(q, 4)));
    else if (query_is_null(q, 5))
        buf_append_str(b, "valid\n");
    else if (query_i64(q, 5) > wall_ms)
        buf_printf(b, "valid until %s\n", clock_rfc3339(text, query_i64(q, 5)));
    else
        buf_printf(b, "expired %s\n", clock_rfc3339(text, query_i64(q, 5)));
}

int key_list(struct db *db, int64_t wall_ms, struct buf *b)
{
    struct query *q = db_query(db,
                               "SELECT id, kind, name, created_ms, revoked_ms, expires_ms FROM keys"
                               " ORDER BY seq",
                               "");
    int rc;

    while ((rc = query_next(q)) > 0) {
        char created[32];

        buf_printf(b, "%s  %-5s  %s  created %s  ", query_text(q, 0), query_text(q, 1),
                   query_text(q, 2), clock_rfc3339(created, query_i64(q, 3)));
        list_end(q, wall_ms, b);
    }
    query_end(q);
    return rc;
}
