#include "util/json_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/utf8.h"

enum {
    NUMBER_MAX = 63, /* cJSON takes a longer one for two values */
    SHORT_MAX = 15   /* digits that cJSON prints at the least */
};

struct text {
    const char *s;
    size_t i, len;
    struct json_scan found;
    const char *why; /* the first complaint */
};

static bool scan_value(struct text *t, int depth);

static bool complain(struct text *t, const char *why)
{
    if (t->why == NULL)
        t->why = why;
    return false;
}

/* -1 at the end. */
static int peek(const struct text *t)
{
    return t->i < t->len ? (unsigned char)t->s[t->i] : -1;
}

static int skip_space(struct text *t)
{
    int c;

    while ((c = peek(t)) == ' ' || c == '\t' || c == '\n' || c == '\r')
        t->i++;
    return c;
}

static bool scan_word(struct text *t, const char *word)
{
    size_t len = strlen(word);

    if (t->len - t->i < len || memcmp(t->s + t->i, word, len) != 0)
        return complain(t, "a value was expected");
    t->i += len;
    return true;
}

static bool scan_digits(struct text *t)
{
    size_t start = t->i;

    while (peek(t) >= '0' && peek(t) <= '9')
        t->i++;
    return t->i > start || complain(t, "a digit was expected");
}

static bool scan_exponent(struct text *t)
{
    t->i++;
    if (peek(t) == '+' || peek(t) == '-')
        t->i++;
    return scan_digits(t);
}

static bool scan_number(struct text *t)
{
    size_t start = t->i;
    bool has_exponent;

    if (peek(t) == '-')
        t->i++;
    if (peek(t) == '0')
        t->i++;
    else if (!scan_digits(t))
        return false;
    if (peek(t) == '.') {
        t->i++;
        if (!scan_digits(t))
            return false;
    }
    has_exponent = peek(t) == 'e' || peek(t) == 'E';
    if (has_exponent && !scan_exponent(t))
        return false;
    t->found.has_long = t->found.has_long || has_exponent || t->i - start > SHORT_MAX;
    return t->i - start <= NUMBER_MAX || complain(t, "a number is too long");
}

/* The value of "uXXXX" at offset i, or -1. */
static int hex4(const struct text *t, size_t i)
{
    int n = 0;

    if (t->len - i < 5 || t->s[i] != 'u')
        return -1;
    for (size_t k = 1; k <= 4; k++) {
        char c = t->s[i + k];

        if (c >= '0' && c <= '9')
            n = n * 16 + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            n = n * 16 + ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return n;
}

/* JavaScript and Python write half a surrogate pair where they cut a text inside a character; the
 * rest of such a document is sound, so that half becomes U+FFFD. i: of its "uXXXX". */
static void repair(struct text *t, size_t i)
{
    if (t->found.repaired == NULL)
        t->found.repaired = mem_dup(t->s, t->len);
    memcpy(t->found.repaired + i, "ufffd", 5);
}

static bool scan_escape(struct text *t)
{
    int c = peek(t), n;

    if (c >= 0 && c != 0 && strchr("\"\\/bfnrt", c) != NULL) {
        t->i++;
        return true;
    }
    n = hex4(t, t->i);
    if (n < 0)
        return complain(t, "an unknown escape in a string");
    if (n == 0)
        return complain(t, "an escaped NUL in a string");
    if (n >= 0xd800 && n <= 0xdfff) {
        bool is_pair = n < 0xdc00 && t->len - t->i > 6 && t->s[t->i + 5] == '\\';
        int low = is_pair ? hex4(t, t->i + 6) : -1;

        if (low >= 0xdc00 && low <= 0xdfff)
            t->i += 6;
        else
            repair(t, t->i);
    }
    t->i += 5;
    return true;
}

static bool scan_string(struct text *t)
{
    size_t start = ++t->i;
    bool is_ascii = true;
    int c;

    while ((c = peek(t)) != '"') {
        if (c < 0)
            return complain(t, "a string isn't closed");
        if (c < 0x20)
            return complain(t, "a control byte in a string");
        is_ascii = is_ascii && c < 0x80;
        t->i++;
        if (c == '\\' && !scan_escape(t))
            return false;
    }
    if (!is_ascii && !utf8_is_valid(t->s + start, t->i - start)) {
        t->i = start;
        return complain(t, "the string here isn't valid UTF-8");
    }
    t->i++;
    return true;
}

/* An object or array, by what closes it. */
static bool scan_members(struct text *t, char close, int depth)
{
    if (depth >= JSON_DEPTH_MAX)
        return complain(t, "nested too deeply");
    t->i++;
    if (skip_space(t) == close) {
        t->i++;
        return true;
    }
    for (;;) {
        if (close == '}') {
            if (skip_space(t) != '"')
                return complain(t, "a key was expected");
            if (!scan_string(t))
                return false;
            if (skip_space(t) != ':')
                return complain(t, "a colon was expected");
            t->i++;
        }
        if (!scan_value(t, depth + 1))
            return false;
        if (skip_space(t) == close) {
            t->i++;
            return true;
        }
        if (peek(t) != ',')
            return complain(t, close == '}' ? "a comma or } was expected"
                                            : "a comma or ] was expected");
        t->i++;
    }
}

static bool scan_value(struct text *t, int depth)
{
    switch (skip_space(t)) {
    case '{':
        return scan_members(t, '}', depth);
    case '[':
        return scan_members(t, ']', depth);
    case '"':
        return scan_string(t);
    case 't':
        return scan_word(t, "true");
    case 'f':
        return scan_word(t, "false");
    case 'n':
        return scan_word(t, "null");
    case -1:
        return complain(t, "the text ends too early");
    default:
        if (peek(t) == '-' || (peek(t) >= '0' && peek(t) <= '9'))
            return scan_number(t);
        return complain(t, "a value was expected");
    }
}

int json_scan(const char *s, size_t len, struct json_scan *ret_scan, struct err *err)
{
    struct text t = { .s = s, .len = len };
    bool is_good = scan_value(&t, 0);

    if (is_good && skip_space(&t) != -1)
        is_good = complain(&t, "something follows the value");
    if (!is_good) {
        free(t.found.repaired);
        return err_set(err, -EBADMSG, "not valid JSON at byte %zu: %s", t.i, t.why);
    }
    *ret_scan = t.found;
    return 0;
}
