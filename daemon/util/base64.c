#include "util/base64.h"

#include <errno.h>

/* The value of a character of the alphabet, and one more. */
/* clang-format off */
static const unsigned char values[256] = {
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6,
    ['G'] = 7, ['H'] = 8, ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12,
    ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
    ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60,
    ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};
/* clang-format on */

/* -1 for any other. */
static int value_of(char c)
{
    return values[(unsigned char)c] - 1;
}

/* Whole groups without padding, which is nearly all there is. Returns how many characters. */
static size_t take_groups(const char *s, size_t len, unsigned char *out)
{
    size_t at;

    for (at = 0; at + 4 <= len; at += 4) {
        int a = value_of(s[at]), b = value_of(s[at + 1]), c = value_of(s[at + 2]),
            d = value_of(s[at + 3]);
        unsigned bits;

        if ((a | b | c | d) < 0)
            break;
        bits = (unsigned)a << 18 | (unsigned)b << 12 | (unsigned)c << 6 | (unsigned)d;
        *out++ = (unsigned char)(bits >> 16);
        *out++ = (unsigned char)(bits >> 8);
        *out++ = (unsigned char)bits;
    }
    return at;
}

/* One character; how many bytes it completes. */
static int take(struct base64 *b, char c, unsigned char *out)
{
    int value = c == '=' ? 0 : value_of(c);

    if (value < 0 || (b->padded && (b->count == 0 || c != '=')))
        return -EILSEQ;
    if (c == '=' && !b->padded) {
        /* of a group of two or three characters; what they have too many bits of is zero */
        if (b->count < 2 || (b->bits & (b->count == 2 ? 0xf : 0x3)) != 0)
            return -EILSEQ;
        b->padded = true;
        out[0] = (unsigned char)(b->bits >> (b->count == 2 ? 4 : 10));
        out[1] = (unsigned char)(b->bits >> 2);
        b->count = (b->count + 1) % 4;
        return b->count == 3 ? 1 : 2;
    }
    b->count = (b->count + 1) % 4;
    if (b->padded)
        return 0;
    b->bits = (b->count == 1 ? 0 : b->bits << 6) | (uint32_t)value;
    if (b->count > 0)
        return 0;
    out[0] = (unsigned char)(b->bits >> 16);
    out[1] = (unsigned char)(b->bits >> 8);
    out[2] = (unsigned char)b->bits;
    return 3;
}

ssize_t base64_decode(struct base64 *b, const char *s, size_t len, unsigned char *out)
{
    unsigned char group[3];
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        size_t whole = b->count == 0 && !b->padded ? take_groups(s + i, len - i, out + n) : 0;
        int count;

        i += whole;
        n += whole / 4 * 3;
        if (i == len)
            break;
        count = take(b, s[i], group);
        if (count < 0)
            return count;
        for (int k = 0; k < count; k++)
            out[n++] = group[k];
    }
    return (ssize_t)n;
}

bool base64_is_whole(const struct base64 *b)
{
    return b->count == 0;
}
