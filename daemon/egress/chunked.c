#include "egress/chunked.h"

#include <errno.h>

enum { SIZE, SIZE_LF, DATA, DATA_CR, DATA_LF, END_CR, END_LF, OVER };
enum { DIGITS_MAX = 15 };

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int scan_size(struct chunked *c, char byte)
{
    int digit = hex(byte);

    if (digit >= 0) {
        c->left = c->left << 4 | (unsigned)digit;
        return ++c->digits > DIGITS_MAX ? -EBADMSG : 0;
    }
    if (byte != '\r' || c->digits == 0)
        return -EBADMSG;
    c->state = SIZE_LF;
    return 0;
}

/* A byte that has to be just that. */
static int expect(struct chunked *c, char byte, char want, unsigned next)
{
    if (byte != want)
        return -EBADMSG;
    c->state = next;
    return 0;
}

static int scan_byte(struct chunked *c, char byte)
{
    switch (c->state) {
    case SIZE:
        return scan_size(c, byte);
    case SIZE_LF:
        return expect(c, byte, '\n', c->left > 0 ? DATA : END_CR);
    case DATA_CR:
        return expect(c, byte, '\r', DATA_LF);
    case DATA_LF:
        c->digits = 0;
        return expect(c, byte, '\n', SIZE);
    case END_CR:
        return expect(c, byte, '\r', END_LF);
    case END_LF:
        return expect(c, byte, '\n', OVER);
    default:
        return -EBADMSG;
    }
}

int chunked_scan(struct chunked *c, const char *bytes, size_t len, size_t *ret_used)
{
    size_t at = 0;

    while (at < len && c->state != OVER) {
        if (c->state == DATA) {
            size_t n = c->left < len - at ? (size_t)c->left : len - at;

            at += n;
            c->left -= n;
            if (c->left == 0)
                c->state = DATA_CR;
        } else if (scan_byte(c, bytes[at++]) < 0) {
            return -EBADMSG;
        }
    }
    *ret_used = at;
    return c->state == OVER;
}
