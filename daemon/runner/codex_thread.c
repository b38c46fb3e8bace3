#include "runner/codex_thread.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/str.h"

enum { DIGITS_MAX = 6, BASE = 36 };

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

bool codex_thread_is_id(const char *id)
{
    if (!id || strlen(id) != CODEX_THREAD_ID_MAX)
        return false;
    for (size_t i = 0; i < CODEX_THREAD_ID_MAX; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? id[i] != '-' : !strchr("0123456789abcdef", id[i]))
            return false;
    }
    return true;
}

/* "_" and a number, where *at points; moves it behind. */
static bool take_number(const char **at, uint64_t *ret_number)
{
    uint64_t n = 0;
    size_t len = 0;

    if (**at != '_')
        return false;
    for ((*at)++; **at && **at != '_'; (*at)++) {
        const char *digit = strchr(digits, **at);

        if (!digit || ++len > DIGITS_MAX)
            return false;
        n = n * BASE + (uint64_t)(digit - digits);
    }
    *ret_number = n;
    return len > 0;
}

bool codex_thread_parse(const char *text, struct codex_thread *ret_thread)
{
    struct codex_thread t = { 0 };
    uint64_t *const numbers[] = { &t.counted.input_tokens, &t.counted.output_tokens,
                                  &t.counted.cache_read_tokens, &t.counted.cache_write_tokens };
    const char *at;

    if (!text || strlen(text) < CODEX_THREAD_ID_MAX)
        return false;
    memcpy(t.id, text, CODEX_THREAD_ID_MAX);
    if (!codex_thread_is_id(t.id))
        return false;
    at = text + CODEX_THREAD_ID_MAX;
    for (size_t i = 0; text[CODEX_THREAD_ID_MAX] && i < ARRAY_SIZE(numbers); i++)
        if (!take_number(&at, numbers[i]))
            return false;
    if (*at)
        return false;
    *ret_thread = t;
    return true;
}

/* Where text ends; NULL: it is too high. */
static char *put_number(char *text, uint64_t n)
{
    char back[DIGITS_MAX];
    size_t len = 0;

    do {
        if (len == DIGITS_MAX)
            return NULL;
        back[len++] = digits[n % BASE];
        n /= BASE;
    } while (n > 0);
    *text++ = '_';
    while (len > 0)
        *text++ = back[--len];
    return text;
}

const char *codex_thread_print(const struct codex_thread *t, char text[CODEX_THREAD_TEXT_MAX])
{
    const struct usage *u = &t->counted;
    const uint64_t numbers[] = { u->input_tokens, u->output_tokens, u->cache_read_tokens,
                                 u->cache_write_tokens };
    char *at = text + CODEX_THREAD_ID_MAX;

    memcpy(text, t->id, CODEX_THREAD_ID_MAX);
    for (size_t i = 0; at && i < ARRAY_SIZE(numbers) && usage_is_something(u); i++)
        at = put_number(at, numbers[i]);
    if (!at) /* a thread of more than two thousand million tokens is told as if it were new */
        at = text + CODEX_THREAD_ID_MAX;
    *at = '\0';
    return text;
}
