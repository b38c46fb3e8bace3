#include "util/ulid.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

enum { PREFIX_MAX = 16, TIME_DIGITS = 10, ENTROPY_DIGITS = 16, ENTROPY_BYTES = 10 };

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* -1 for what isn't a digit of Crockford's base 32. */
static int digit_value(char c)
{
    const char *at = c != '\0' ? strchr(digits, upper(c)) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* Writes "PREFIX_" and returns where the ULID goes. */
static char *put_prefix(char id[ULID_ID_MAX], const char *prefix)
{
    size_t len = strnlen(prefix, PREFIX_MAX);

    memcpy(id, prefix, len);
    id[len] = '_';
    return id + len + 1;
}

/* Eighty bits are sixteen digits of five. */
static void put_entropy(char *to, const uint8_t entropy[ENTROPY_BYTES])
{
    uint32_t bits = 0;
    int have = 0;

    for (size_t i = 0; i < ENTROPY_BYTES; i++) {
        bits = (bits << 8 | entropy[i]) & 0xffff;
        for (have += 8; have >= 5; have -= 5)
            *to++ = digits[bits >> (have - 5) & 31];
    }
    *to = '\0';
}

static void put_time(char *to, uint64_t ms)
{
    for (int i = TIME_DIGITS - 1; i >= 0; i--, ms >>= 5)
        to[i] = digits[ms & 31];
}

char *ulid_make(char id[ULID_ID_MAX], const char *prefix, int64_t wall_ms,
                const uint8_t entropy[10])
{
    static const uint64_t ms_max = (UINT64_C(1) << 48) - 1;
    uint64_t ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    char *ulid = put_prefix(id, prefix);

    put_time(ulid, ms < ms_max ? ms : ms_max);
    put_entropy(ulid + TIME_DIGITS, entropy);
    return id;
}

/* The ULID that s ends in, alone or after an underscore; or NULL. */
static const char *tail_ulid(const char *s)
{
    size_t len = strlen(s);
    const char *tail;

    if (len < ULID_LEN)
        return NULL;
    tail = s + (len - ULID_LEN);
    if (tail != s && tail[-1] != '_')
        return NULL;
    return ulid_is_valid(tail) ? tail : NULL;
}

char *ulid_derive(char id[ULID_ID_MAX], const char *prefix, const char *purpose, const char *source)
{
    const char *dated = tail_ulid(source);
    unsigned char hash[32];
    crypto_generichash_state state;
    char *ulid;

    (void)crypto_generichash_init(&state, NULL, 0, sizeof hash); /* these three can't fail */
    (void)crypto_generichash_update(&state, (const unsigned char *)purpose, strlen(purpose) + 1);
    (void)crypto_generichash_update(&state, (const unsigned char *)source, strlen(source));
    (void)crypto_generichash_final(&state, hash, sizeof hash);
    ulid = put_prefix(id, prefix);
    for (size_t i = 0; i < TIME_DIGITS; i++)
        ulid[i] = dated != NULL ? upper(dated[i]) : '0';
    put_entropy(ulid + TIME_DIGITS, hash);
    return id;
}

bool ulid_is_valid(const char *s)
{
    if (s == NULL || strlen(s) != ULID_LEN || digit_value(s[0]) > 7)
        return false;
    for (size_t i = 0; i < ULID_LEN; i++)
        if (digit_value(s[i]) < 0)
            return false;
    return true;
}

bool ulid_has_prefix(const char *s, const char *prefix)
{
    size_t len = strlen(prefix);

    return s != NULL && strncmp(s, prefix, len) == 0 && s[len] == '_' && ulid_is_valid(s + len + 1);
}
