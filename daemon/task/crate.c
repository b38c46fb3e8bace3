#include "task/crate.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/utf8.h"

enum { FILE_RECORD = 'F', PIECE = 'D', END = 'E', REFUSAL = 'X' };
enum { MODE_FILE = 0644, MODE_PROGRAM = 0755 };

/* ---- paths ---- */

static const char *refusal_of_part(const char *part, size_t len)
{
    if (len == 0)
        return "a part of the name is empty, or it is absolute";
    if ((len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
        return "'.' and '..' may not be in it";
    return len > CRATE_PART_MAX ? "a part of the name is too long" : NULL;
}

const char *crate_refusal(const char *path, size_t len)
{
    size_t depth = 0;

    if (len == 0 || len > CRATE_PATH_MAX)
        return "the name is empty or too long";
    if (!utf8_is_valid(path, len))
        return "the name is not UTF-8";
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)path[i] < ' ' || path[i] == 0x7f || path[i] == '\\')
            return "the name has control characters or backslashes";
    for (size_t at = 0; at <= len; depth++) {
        const char *slash = memchr(path + at, '/', len - at);
        size_t part = slash ? (size_t)(slash - path) - at : len - at;
        const char *why = refusal_of_part(path + at, part);

        if (why)
            return why;
        at += part + 1;
    }
    return depth > CRATE_DEPTH_MAX ? "it lies too deep" : NULL;
}

/* ---- writing ---- */

static void put_u32(struct buf *b, uint32_t n)
{
    for (int i = 0; i < 4; i++, n >>= 8)
        buf_append_char(b, (char)(n & 0xff));
}

static void put_record(struct buf *b, char type, uint32_t mode, const void *bytes, size_t len)
{
    buf_append_char(b, type);
    put_u32(b, mode);
    put_u32(b, (uint32_t)len);
    if (len > 0)
        buf_append(b, bytes, len);
}

void crate_put_file(struct buf *b, const char *path, bool is_program)
{
    put_record(b, FILE_RECORD, is_program ? MODE_PROGRAM : MODE_FILE, path, strlen(path));
}

void crate_put_piece(struct buf *b, const void *bytes, size_t len)
{
    assert(len <= CRATE_PIECE_MAX);
    put_record(b, PIECE, 0, bytes, len);
}

void crate_put_end(struct buf *b)
{
    put_record(b, END, 0, NULL, 0);
}

void crate_put_refusal(struct buf *b, const char *why)
{
    size_t len = strlen(why);

    put_record(b, REFUSAL, 0, why, len < CRATE_WORDS_MAX ? len : CRATE_WORDS_MAX);
}

/* ---- reading ---- */

struct record {
    char type;
    uint32_t mode, len;
    const char *bytes;
};

static uint32_t get_u32(const char *bytes)
{
    uint32_t n = 0;

    for (int i = 3; i >= 0; i--)
        n = n << 8 | (unsigned char)bytes[i];
    return n;
}

static uint32_t longest(char type)
{
    return type == FILE_RECORD ? CRATE_PATH_MAX
           : type == PIECE     ? CRATE_PIECE_MAX
           : type == REFUSAL   ? CRATE_WORDS_MAX
                               : 0;
}

static int damaged(struct err *err)
{
    return err_set(err, -EBADMSG, "what the unpacking process wrote is damaged");
}

static int take_file(struct crate *p, const struct record *r, const struct crate_ops *ops,
                     void *ctx, struct err *err)
{
    AUTO_FREE char *path = mem_strndup(r->bytes, r->len);

    if (strlen(path) != r->len || crate_refusal(path, r->len) ||
        (r->mode != MODE_FILE && r->mode != MODE_PROGRAM))
        return damaged(err);
    if (++p->files > CRATE_FILES_MAX)
        return err_set(err, -EMSGSIZE, "it holds more than %d files", CRATE_FILES_MAX);
    p->in_file = true;
    return ops->file(path, r->mode == MODE_PROGRAM, ctx, err);
}

static int take_piece(struct crate *p, const struct record *r, const struct crate_ops *ops,
                      void *ctx, struct err *err)
{
    if (!p->in_file)
        return damaged(err);
    p->bytes += r->len;
    if (p->bytes > CRATE_BYTES_MAX)
        return err_set(err, -EMSGSIZE, "its files are larger than %d MiB together",
                       CRATE_BYTES_MAX >> 20);
    return ops->piece(r->bytes, r->len, ctx, err);
}

static int refuse(const struct record *r, struct err *err)
{
    AUTO_FREE char *words = mem_strndup(r->bytes, r->len);
    char line[CRATE_WORDS_MAX + 1];

    return err_set(err, -ECANCELED, "%s", utf8_line(line, sizeof line, words));
}

static int take_record(struct crate *p, const struct record *r, const struct crate_ops *ops,
                       void *ctx, struct err *err)
{
    switch (r->type) {
    case FILE_RECORD:
        return take_file(p, r, ops, ctx, err);
    case PIECE:
        return take_piece(p, r, ops, ctx, err);
    case END:
        p->ended = true;
        return 0;
    default:
        return refuse(r, err); /* the one that is left, as longest() lets no other pass */
    }
}

/* The first record of pending, if it is whole: its length, 0 if it isn't. */
static int first_record(const struct crate *p, size_t at, struct record *ret, struct err *err)
{
    const char *bytes = p->pending.data + at;
    size_t left = p->pending.len - at;

    if (left < CRATE_HEAD)
        return 0;
    *ret = (struct record){ .type = bytes[0],
                            .mode = get_u32(bytes + 1),
                            .len = get_u32(bytes + 5),
                            .bytes = bytes + CRATE_HEAD };
    if (!memchr("FDEX", ret->type, 4) || ret->len > longest(ret->type))
        return damaged(err);
    return left - CRATE_HEAD < ret->len ? 0 : CRATE_HEAD + (int)ret->len;
}

int crate_feed(struct crate *p, const void *bytes, size_t len, const struct crate_ops *ops,
               void *ctx, struct err *err)
{
    struct record r;
    size_t at = 0;
    int n = 0;

    if (p->failure < 0 || len == 0)
        return p->failure;
    if (p->ended)
        return p->failure = damaged(err);
    buf_append(&p->pending, bytes, len);
    while (!p->ended && (n = first_record(p, at, &r, err)) > 0) {
        at += (size_t)n;
        n = take_record(p, &r, ops, ctx, err);
        if (n < 0)
            break;
    }
    if (n >= 0 && p->ended && at < p->pending.len)
        n = damaged(err);
    buf_consume(&p->pending, at);
    if (n < 0)
        p->failure = n;
    return n < 0 ? n : 0;
}

bool crate_is_whole(const struct crate *p)
{
    return p->ended && p->failure == 0;
}

void crate_done(struct crate *p)
{
    buf_done(&p->pending);
    *p = (struct crate){ 0 };
}
