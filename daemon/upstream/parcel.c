#include "upstream/parcel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"

enum { DEPTH_MAX = 64, PIECE = 4096 };

enum state {
    BEFORE_OBJECT,
    BEFORE_FIRST_KEY, /* or the end of the object */
    BEFORE_KEY,
    BEFORE_COLON,
    BEFORE_FIRST_VALUE, /* or the end of the array */
    BEFORE_VALUE,
    AFTER_VALUE,
    IN_STRING,
    IN_ESCAPE,
    IN_HEX,
    IN_WORD, /* a number, true, false, null */
    AT_END
};
/* What the string being read is. */
enum role { ROLE_KEY, ROLE_ID, ROLE_NAME, ROLE_DATA, ROLE_OTHER };

static const char malformed[] = "the answer is not JSON";

void parcel_init(struct parcel *p, uint64_t max_bytes, parcel_fn fn, void *ctx)
{
    *p = (struct parcel){ .fn = fn, .ctx = ctx, .max_bytes = max_bytes, .state = BEFORE_OBJECT };
}

static int refuse(struct err *err)
{
    return err_set(err, -EBADMSG, "%s", malformed);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* ---- what is in strings ---- */

/* One that is too long is no word of ours: its length says so. */
static void add_to_word(struct parcel *p, const char *s, size_t len)
{
    size_t room = sizeof p->word - 1 > p->word_len ? sizeof p->word - 1 - p->word_len : 0;
    size_t keep = len < room ? len : room;

    memcpy(p->word + (p->word_len < sizeof p->word ? p->word_len : 0), s, keep);
    p->word_len += len;
    if (p->word_len < sizeof p->word)
        p->word[p->word_len] = '\0';
}

static const char *word_of(const struct parcel *p)
{
    return p->word_len < sizeof p->word ? p->word : "";
}

static int decode(struct parcel *p, const char *s, size_t len, struct err *err)
{
    unsigned char file[PIECE / 4 * 3 + 3];
    ssize_t n = base64_decode(&p->base64, s, len, file);
    int r;

    if (n < 0)
        return err_set(err, -EILSEQ, "what the server sent as its contents is no base64");
    if ((uint64_t)n > p->max_bytes - p->bytes)
        return err_set(err, -EFBIG, "it is too large");
    p->bytes += (uint64_t)n;
    r = n > 0 ? p->fn(file, (size_t)n, p->ctx) : 0;
    return r < 0 ? r : 0;
}

static int add_text(struct parcel *p, const char *s, size_t len, struct err *err)
{
    int r = 0;

    if (p->role != ROLE_DATA && p->role != ROLE_OTHER)
        add_to_word(p, s, len);
    for (size_t at = 0; p->role == ROLE_DATA && at < len && r == 0; at += PIECE)
        r = decode(p, s + at, len - at < PIECE ? len - at : PIECE, err);
    return r;
}

static int end_string(struct parcel *p, struct err *err)
{
    p->state = AFTER_VALUE;
    switch ((enum role)p->role) {
    case ROLE_KEY:
        p->state = BEFORE_COLON;
        break;
    case ROLE_ID:
        memcpy(p->id, p->word_len < sizeof p->id ? p->word : "?",
               p->word_len < sizeof p->id ? p->word_len + 1 : 2);
        break;
    case ROLE_NAME:
        memcpy(p->name, word_of(p), strlen(word_of(p)) + 1); /* as large */
        break;
    case ROLE_DATA:
        if (!base64_is_whole(&p->base64))
            return err_set(err, -EILSEQ,
                           "what the server sent as its contents is no whole base64: its padding "
                           "is missing");
        break;
    case ROLE_OTHER:
        break;
    }
    return 0;
}

/* The next piece of a string, up to what is special in it. Returns how much that is. */
static ssize_t read_string(struct parcel *p, const char *s, size_t len, struct err *err)
{
    size_t n = 0;
    int r;

    while (n < len && s[n] != '"' && s[n] != '\\' && (unsigned char)s[n] >= ' ')
        n++;
    r = add_text(p, s, n, err);
    if (r < 0)
        return r;
    if (n == len)
        return (ssize_t)n;
    if (s[n] == '"')
        r = end_string(p, err);
    else if (s[n] == '\\')
        p->state = IN_ESCAPE;
    else
        r = refuse(err);
    return r < 0 ? r : (ssize_t)n + 1;
}

/* One character, as the next. */
static int read_escape(struct parcel *p, char c, struct err *err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = strchr(from, c);
    int r;

    p->state = IN_STRING;
    if (c == 'u') {
        p->state = IN_HEX;
        p->hex_digits = 0;
        p->hex = 0;
        return 1;
    }
    if (c == '\0' || !at)
        return refuse(err);
    r = add_text(p, &to[at - from], 1, err);
    return r < 0 ? r : 1;
}

/* Characters past ASCII are in no key of ours, no id and no base64: any other will do for them. */
static int read_hex(struct parcel *p, char c, struct err *err)
{
    static const char digits[] = "0123456789abcdef";
    char lower = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    const char *at = lower ? strchr(digits, lower) : NULL;
    char character;
    int r;

    if (!at)
        return refuse(err);
    p->hex = p->hex << 4 | (uint32_t)(at - digits);
    if (++p->hex_digits < 4)
        return 1;
    p->state = IN_STRING;
    character = p->hex > 0 && p->hex < 0x80 ? (char)p->hex : '?';
    r = add_text(p, &character, 1, err);
    return r < 0 ? r : 1;
}

/* ---- around them ---- */

static int open_container(struct parcel *p, bool is_array, struct err *err)
{
    if (p->depth == DEPTH_MAX)
        return refuse(err);
    p->arrays &= ~(UINT64_C(1) << p->depth);
    p->arrays |= (uint64_t)is_array << p->depth;
    p->depth++;
    p->state = is_array ? BEFORE_FIRST_VALUE : BEFORE_FIRST_KEY;
    return 0;
}

static bool is_in_array(const struct parcel *p)
{
    return p->depth > 0 && (p->arrays >> (p->depth - 1) & 1);
}

static int close_container(struct parcel *p, char c, struct err *err)
{
    if (p->depth == 0 || is_in_array(p) != (c == ']'))
        return refuse(err);
    p->depth--;
    p->state = p->depth > 0 ? AFTER_VALUE : AT_END;
    return 0;
}

static void begin_string(struct parcel *p, enum role role)
{
    p->state = IN_STRING;
    p->role = role;
    p->word_len = 0;
    p->word[0] = '\0';
}

/* At depth 1 the word is still the member's key. */
static int begin_value_string(struct parcel *p, struct err *err)
{
    enum role role = ROLE_OTHER;

    if (p->depth == 1 && str_eq(word_of(p), "data")) {
        if (p->has_data)
            return err_set(err, -EBADMSG, "the answer has its contents twice");
        p->has_data = true;
        role = ROLE_DATA;
    } else if (p->depth == 1 && str_eq(word_of(p), "id")) {
        role = ROLE_ID;
    } else if (p->depth == 1 && str_eq(word_of(p), "filename")) {
        role = ROLE_NAME;
    }
    begin_string(p, role);
    return 0;
}

static int begin_value(struct parcel *p, char c, struct err *err)
{
    if (c == '"')
        return begin_value_string(p, err);
    if (c == '{' || c == '[')
        return open_container(p, c == '[', err);
    if (c != '-' && !(c >= '0' && c <= '9') && c != 't' && c != 'f' && c != 'n')
        return refuse(err);
    p->state = IN_WORD;
    p->word_len = 0;
    add_to_word(p, &c, 1);
    return 0;
}

static bool is_number(const char *s)
{
    char *end;

    (void)strtod(s, &end);
    return *s && *end == '\0' && strspn(s, "+-.0123456789eE") == strlen(s);
}

static int end_word(struct parcel *p, struct err *err)
{
    const char *word = word_of(p);

    p->state = AFTER_VALUE;
    return str_eq(word, "true") || str_eq(word, "false") || str_eq(word, "null") || is_number(word)
               ? 0
               : refuse(err);
}

static int read_after_value(struct parcel *p, char c, struct err *err)
{
    if (c == ',')
        p->state = is_in_array(p) ? BEFORE_VALUE : BEFORE_KEY;
    else if (c == '}' || c == ']')
        return close_container(p, c, err);
    else
        return refuse(err);
    return 0;
}

static int read_key(struct parcel *p, char c, struct err *err)
{
    if (c == '}' && p->state == BEFORE_FIRST_KEY)
        return close_container(p, c, err);
    if (c != '"')
        return refuse(err);
    begin_string(p, ROLE_KEY);
    return 0;
}

/* Outside of strings. Returns how much it took: a word ends with what is behind it. */
static int read_between(struct parcel *p, char c, struct err *err)
{
    int r = 0;

    if (p->state == IN_WORD) {
        if (c != ',' && c != '}' && c != ']' && !is_space(c)) {
            add_to_word(p, &c, 1);
            return 1;
        }
        r = end_word(p, err);
        return r < 0 ? r : 0;
    }
    if (is_space(c))
        return 1;
    switch ((enum state)p->state) {
    case BEFORE_OBJECT:
        r = c == '{' ? open_container(p, false, err) : refuse(err);
        break;
    case BEFORE_FIRST_KEY:
    case BEFORE_KEY:
        r = read_key(p, c, err);
        break;
    case BEFORE_COLON:
        r = c == ':' ? 0 : refuse(err);
        p->state = BEFORE_VALUE;
        break;
    case BEFORE_FIRST_VALUE:
        r = c == ']' ? close_container(p, c, err) : begin_value(p, c, err);
        break;
    case BEFORE_VALUE:
        r = begin_value(p, c, err);
        break;
    case AFTER_VALUE:
        r = read_after_value(p, c, err);
        break;
    case AT_END:
    case IN_STRING:
    case IN_ESCAPE:
    case IN_HEX:
    case IN_WORD:
        r = refuse(err);
        break;
    }
    return r < 0 ? r : 1;
}

int parcel_feed(struct parcel *p, const char *s, size_t len, struct err *err)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n;

        if (p->state == IN_STRING)
            n = read_string(p, s + at, len - at, err);
        else if (p->state == IN_ESCAPE)
            n = read_escape(p, s[at], err);
        else if (p->state == IN_HEX)
            n = read_hex(p, s[at], err);
        else
            n = read_between(p, s[at], err);
        if (n < 0)
            return (int)n;
        at += (size_t)n;
    }
    return 0;
}

int parcel_end(const struct parcel *p, struct err *err)
{
    if (p->state != AT_END)
        return err_set(err, -EBADMSG, "the answer is cut short");
    if (p->bytes == 0)
        return err_set(err, -ENODATA, p->has_data ? "it is empty" : "the server sent no contents");
    return 0;
}
