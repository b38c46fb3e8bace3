#include "egress/censor.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/secret.h"

struct form {
    char *bytes;
    size_t len;
};

struct censor_forms {
    struct form *items;
    size_t count, longest;
    bool begins[256]; /* whether one begins with that byte */
};

/* ---- the forms ---- */

static void add_form(const char *bytes, size_t len, void *ctx)
{
    struct censor_forms *f = ctx;

    if (len == 0)
        return;
    f->items = mem_realloc(f->items, (f->count + 1) * sizeof f->items[0]);
    f->items[f->count].bytes = mem_alloc(len);
    memcpy(f->items[f->count].bytes, bytes, len);
    f->items[f->count++].len = len;
    f->begins[(unsigned char)bytes[0]] = true;
    if (len > f->longest)
        f->longest = len;
}

static void add_hex(struct censor_forms *f, const char *key, size_t len, const char digits[16])
{
    char *hex = mem_alloc(2 * len + 1);

    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = digits[(unsigned char)key[i] >> 4];
        hex[2 * i + 1] = digits[(unsigned char)key[i] & 15];
    }
    add_form(hex, 2 * len, f);
    secret_wipe(hex, 2 * len);
    free(hex);
}

struct censor_forms *censor_forms_new(const char *key, size_t len)
{
    struct censor_forms *f = mem_new(struct censor_forms);
    CLEANUP_PTR(mask_free) struct mask *mask = mask_new();

    if (mask_add(mask, key, len) == 0) {
        mask_each(mask, add_form, f);
        add_hex(f, key, len, "0123456789abcdef");
        add_hex(f, key, len, "0123456789ABCDEF");
    } else {
        add_form(key, len, f); /* too short for anything else */
    }
    return f;
}

void censor_forms_free(struct censor_forms *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++) {
        secret_wipe(f->items[i].bytes, f->items[i].len);
        free(f->items[i].bytes);
    }
    free(f->items);
    free(f);
}

/* ---- the stream ---- */

/* How long the longest form is that text begins with; 0: none. */
static size_t match(const struct censor_forms *f, const char *text, size_t len)
{
    size_t longest = 0;

    for (size_t i = 0; f->begins[(unsigned char)*text] && i < f->count; i++)
        if (f->items[i].len > longest && f->items[i].len <= len &&
            memcmp(f->items[i].bytes, text, f->items[i].len) == 0)
            longest = f->items[i].len;
    return longest;
}

/* Whether all of text is the beginning of a form, and less than all of that. */
static bool is_beginning(const struct censor_forms *f, const char *text, size_t len,
                         size_t *ret_form)
{
    for (size_t i = 0; f->begins[(unsigned char)*text] && i < f->count; i++) {
        if (f->items[i].len > len && memcmp(f->items[i].bytes, text, len) == 0) {
            *ret_form = i;
            return true;
        }
    }
    return false;
}

/* Where what is to be held back begins. */
static size_t find_held(struct censor *c, const char *text, size_t len)
{
    size_t at = c->forms->longest > 0 && len >= c->forms->longest ? len - c->forms->longest + 1 : 0;

    while (at < len && !is_beginning(c->forms, text + at, len - at, &c->form))
        at++;
    return at;
}

/* Stars in place of what is found at [0, end), of which the first bytes are known to be some. A
 * place is looked at before it gets its star, so forms may overlap. */
static void cover(struct censor *c, char *text, size_t len, size_t end)
{
    size_t until = c->stars;

    for (size_t i = 0; i < end; i++) {
        size_t found = match(c->forms, text + i, len - i);

        if (found > 0 && i + found > until)
            until = i + found;
        if (i < until)
            text[i] = '*';
    }
    c->stars = until > end ? until - end : 0;
}

static void recall(struct censor *c, struct buf *out)
{
    if (c->held > 0)
        buf_append(out, c->forms->items[c->form].bytes, c->held);
    c->held = 0;
}

void censor_feed(struct censor *c, const char *bytes, size_t len, struct buf *out)
{
    size_t start = out->len, all, end;

    recall(c, out);
    buf_append(out, bytes, len);
    all = out->len - start;
    if (all == 0)
        return;
    end = find_held(c, out->data + start, all);
    cover(c, out->data + start, all, end);
    c->held = all - end;
    memset(out->data + start + end, 0, c->held); /* nothing of a key stays there */
    out->len = start + end;
}

void censor_end(struct censor *c, struct buf *out)
{
    size_t start = out->len, all;

    recall(c, out);
    all = out->len - start;
    if (all > 0)
        cover(c, out->data + start, all, all);
}
