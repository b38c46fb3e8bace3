#include "egress/body.h"

struct body body_of(enum head_body kind, uint64_t bytes)
{
    return (struct body){ .kind = kind, .left = bytes };
}

ssize_t body_accept(struct body *b, const char *bytes, size_t len, bool *ret_ended)
{
    size_t used = 0;
    int end = 1;

    switch (b->kind) {
    case HEAD_NO_BODY:
        break;
    case HEAD_LENGTH:
        used = b->left < len ? (size_t)b->left : len;
        b->left -= used;
        end = b->left == 0;
        break;
    case HEAD_CHUNKED:
        end = chunked_scan(&b->chunked, bytes, len, &used);
        break;
    }
    if (end < 0)
        return end;
    *ret_ended = end > 0;
    return (ssize_t)used;
}
