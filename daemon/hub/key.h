/* key.h - API keys: made, shown once, and kept as a hash.
 * A key is its kind's prefix and 43 characters of base64url (256 random bits), so a plain BLAKE2b
 * hash of it can't be guessed back. A lookup goes by the first eight bytes of the hash; the whole
 * hash is then compared in constant time.
 * Source: Nairi API, "Keys": organisation keys begin nr_, keys of self-hosted agents nairid_. */
#pragma once
#include "util/ulid.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct db;

enum key_kind { KEY_ORG, KEY_AGENT, KEY_KIND_COUNT };
enum { KEY_HASH_BYTES = 32, KEY_TEXT_MAX = 64, KEY_NAME_MAX = 200 };

/* What a caller says he has. */
struct key_claim {
    enum key_kind kind;
    uint8_t hash[KEY_HASH_BYTES];
};

/* A new key's text. Wipe it after use. */
void key_make(enum key_kind kind, char text[KEY_TEXT_MAX]);
/* -EINVAL for what can't be a key of ours by its form. */
int key_parse(const char *text, size_t len, struct key_claim *ret_claim);
const char *key_prefix(enum key_kind kind); /* "nr_" */
const char *key_kind_name(enum key_kind kind);

/* Stores the hash under a new id, which goes to ret_id (ULID_ID_MAX bytes). agent: its row, 0 for
 * an organisation key. */
int key_store(struct db *db, const struct key_claim *claim, const char *name, int64_t agent,
              int64_t wall_ms, char *ret_id);
/* A key that isn't revoked. */
struct key_found {
    int64_t agent; /* its row, 0 for an organisation key */
    char id[ULID_ID_MAX];
    int64_t expires_ms; /* 0: never */
};
/* 1, 0 if there is none, or a negative errno. One whose time is over is found as well. */
int key_find(struct db *db, const struct key_claim *claim, struct key_found *ret_found);
/* Stores the hash as that of a new key like the one of that id, which ends at old_until_ms, or
 * when it would have ended if that is sooner. 1; 0 if there is no such id, or it was revoked or its
 * time is over; or a negative errno. ret_new_id: ULID_ID_MAX bytes. */
int key_rotate(struct db *db, const char *id, const struct key_claim *claim, int64_t old_until_ms,
               int64_t wall_ms, char *ret_new_id);
/* What kind of key has that id: 1, 0 or a negative errno, as key_rotate(). */
int key_kind_of(struct db *db, const char *id, int64_t wall_ms, enum key_kind *ret_kind);
/* 1, 0 if there is no such id (or it was revoked before), or a negative errno. */
int key_revoke(struct db *db, const char *id, int64_t wall_ms);
/* A line for each key: id, kind, name, created, and "valid", or when it ends, ended or was revoked.
 */
int key_list(struct db *db, int64_t wall_ms, struct buf *b);
