#include "task/leftover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum { NAMED_MAX = 8, NAMED_PATH_MAX = 120 };

static const char magic[4] = "nlo1";

/* ---- writing ---- */

enum {
    ITEM = 'f',
    UNTOLD = 'u',
    END = 'e',
    ITEM_HEAD = 1 + 1 + 1 + LEFTOVER_PRINT_BYTES + 2,
    END_BYTES = 9
};

static void add_u32(struct buf *b, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        buf_append_char(b, (char)(unsigned char)(n >> 8 * i));
}

void leftover_begin(struct buf *b)
{
    buf_append(b, magic, sizeof magic);
}

bool leftover_add(struct buf *b, const struct leftover *item, const char *path)
{
    size_t len = strlen(path);

    if (len == 0 || len >= LEFTOVER_PATH_MAX ||
        b->len + ITEM_HEAD + len + END_BYTES > LEFTOVERS_BYTES_MAX)
        return false;
    buf_append_char(b, item->untold ? UNTOLD : ITEM);
    buf_append_char(b, (char)item->kind);
    buf_append_char(b, (char)item->place);
    buf_append(b, item->print, sizeof item->print);
    buf_append_char(b, (char)(unsigned char)(len & 0xff));
    buf_append_char(b, (char)(unsigned char)(len >> 8));
    buf_append(b, path, len);
    return true;
}

void leftover_end(struct buf *b, uint32_t entries, uint32_t gaps)
{
    buf_append_char(b, END);
    add_u32(b, entries);
    add_u32(b, gaps);
}

/* ---- reading ---- */

struct reader {
    const unsigned char *at;
    size_t left;
    bool bad;
};

static uint32_t get(struct reader *r, size_t bytes, uint32_t most)
{
    uint32_t n = 0;

    if (r->left < bytes) {
        r->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        n |= (uint32_t)r->at[i] << 8 * i;
    r->at += bytes;
    r->left -= bytes;
    if (n > most) {
        r->bad = true;
        return 0;
    }
    return n;
}

/* Relative, with no empty part, no "." and no "..". */
static bool is_plain(const char *path)
{
    for (;;) {
        size_t len = strcspn(path, "/");

        if (len == 0 || (len == 1 && path[0] == '.') ||
            (len == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (path[len] == '\0')
            return true;
        path += len + 1;
    }
}

static void get_item(struct reader *r, bool untold, struct leftovers *l)
{
    struct leftover item = { .untold = untold };
    size_t len;

    item.kind = (enum planted_kind)get(r, 1, PLANTED_KIND_COUNT - 1);
    item.place = (enum leftover_place)get(r, 1, LEFTOVER_PLACE_COUNT - 1);
    for (size_t i = 0; i < sizeof item.print; i++)
        item.print[i] = (unsigned char)get(r, 1, UINT8_MAX);
    len = get(r, 2, LEFTOVER_PATH_MAX - 1);
    if (r->bad || r->left < len || memchr(r->at, '\0', len) || l->len == LEFTOVERS_MAX) {
        r->bad = true;
        return;
    }
    item.path = mem_dup(r->at, len);
    r->at += len;
    r->left -= len;
    l->items[l->len++] = item;
    r->bad = !is_plain(item.path);
}

static int by_path(const void *a, const void *b)
{
    const struct leftover *x = a, *y = b;
    int r = (int)x->place - (int)y->place;

    if (r == 0)
        r = strcmp(x->path, y->path);
    return r != 0 ? r : (int)x->kind - (int)y->kind;
}

static void drop_doubles(struct leftovers *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->len; i++) {
        if (kept > 0 && by_path(&l->items[kept - 1], &l->items[i]) == 0)
            free(l->items[i].path);
        else
            l->items[kept++] = l->items[i];
    }
    l->len = kept;
}

int leftover_read(const void *bytes, size_t len, struct leftovers *ret)
{
    struct reader r = { .at = bytes, .left = len, .bad = len > LEFTOVERS_BYTES_MAX };
    struct leftovers l = { 0 };
    uint32_t type = ITEM;

    if (r.bad || len < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0)
        return -EBADMSG;
    r.at += sizeof magic;
    r.left -= sizeof magic;
    l.items = mem_calloc(LEFTOVERS_MAX, sizeof l.items[0]);
    while (!r.bad && ((type = get(&r, 1, UINT8_MAX)) == ITEM || type == UNTOLD))
        get_item(&r, type == UNTOLD, &l);
    l.entries = get(&r, 4, UINT32_MAX);
    l.gaps = get(&r, 4, LEFTOVERS_GAPS_ALL);
    if (r.bad || type != END || r.left > 0) {
        leftover_done(&l);
        return -EBADMSG;
    }
    if (l.len > 0)
        qsort(l.items, l.len, sizeof l.items[0], by_path);
    drop_doubles(&l);
    *ret = l;
    return 0;
}

void leftover_done(struct leftovers *l)
{
    for (size_t i = 0; i < l->len; i++)
        free(l->items[i].path);
    free(l->items);
    *l = (struct leftovers){ 0 };
}

/* ---- words ---- */

/* Of a well-formed character of len bytes, 2 or more. */
static unsigned long code_point(const unsigned char *s, size_t len)
{
    unsigned long c = s[0] & (0x7fu >> len);

    for (size_t i = 1; i < len; i++)
        c = c << 6 | (s[i] & 0x3fu);
    return c;
}

/* Those that don't show, or change how others do. */
static bool is_invisible(unsigned long c)
{
    return c < 0xa1 || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x2000 && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x3000 ||
           (c >= 0xe000 && c <= 0xf8ff) || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff ||
           (c >= 0xfff0 && c <= 0xffff) || c >= 0xe0000;
}

/* One character of path, shown. Returns how many bytes of path it was. */
static size_t quote_one(const char *path, size_t left, struct buf *b)
{
    unsigned char c = (unsigned char)path[0];
    size_t len = c >= 0xf0 ? 4 : (c >= 0xe0 ? 3 : 2);

    if (c == '\n' || c == '\t' || c == '\r' || c == '\\') {
        buf_append_char(b, '\\');
        buf_append_char(b, c == '\n' ? 'n' : (c == '\t' ? 't' : (c == '\r' ? 'r' : '\\')));
        return 1;
    }
    if (c < 0x20 || c == 0x7f || c == '`') { /* the last one ends the quotation in Markdown */
        buf_printf(b, "\\x%02x", c);
        return 1;
    }
    if (c < 0x80) {
        buf_append_char(b, (char)c);
        return 1;
    }
    if (len > left || utf8_prefix(path, len) != len) {
        buf_printf(b, "\\x%02x", c);
        return 1;
    }
    if (is_invisible(code_point((const unsigned char *)path, len)))
        buf_printf(b, "\\u{%lx}", code_point((const unsigned char *)path, len));
    else
        buf_append(b, path, len);
    return len;
}

void leftover_quote(const char *path, size_t max, struct buf *b)
{
    CLEANUP(buf_done) struct buf whole = { 0 };
    size_t left = strlen(path), head, tail;

    while (left > 0) {
        size_t used = quote_one(path, left, &whole);

        path += used;
        left -= used;
    }
    if (whole.len <= max) {
        buf_append(b, buf_str(&whole), whole.len);
        return;
    }
    head = utf8_cut(whole.data, whole.len, max / 3);
    tail = utf8_tail(whole.data, whole.len, max - max / 3 - strlen("..."));
    buf_append(b, whole.data, head);
    buf_append_str(b, "...");
    buf_append(b, whole.data + tail, whole.len - tail);
}

enum news {
    NEWS_NONE,
    NEWS_NEW,
    NEWS_CHANGED,
    NEWS_THERE,   /* whose it is isn't known */
    NEWS_EARLIER, /* it was there before this task, and wasn't named */
};

/* What there is to tell of an item. */
struct fresh {
    const struct leftover *item;
    enum news news;
};

static enum news news_of(const struct leftover *item, const struct leftovers *before)
{
    const struct leftover *was;

    if (!before)
        return NEWS_THERE;
    was = before->len == 0
              ? NULL
              : bsearch(item, before->items, before->len, sizeof before->items[0], by_path);
    if (!was)
        return NEWS_NEW;
    if (memcmp(was->print, item->print, sizeof item->print) != 0)
        return NEWS_CHANGED;
    return was->untold ? NEWS_EARLIER : NEWS_NONE;
}

/* What matters more first, and of that what lies less deep. */
static int by_weight(const void *a, const void *b)
{
    const struct leftover *x = ((const struct fresh *)a)->item,
                          *y = ((const struct fresh *)b)->item;
    int r = (int)x->kind - (int)y->kind;
    size_t x_len = strlen(x->path), y_len = strlen(y->path);

    if (r == 0)
        r = (x_len > y_len) - (x_len < y_len);
    return r != 0 ? r : by_path(x, y);
}

static void describe_item(const struct fresh *f, const struct mask *mask, struct buf *b)
{
    AUTO_FREE char *path = mask_text(mask, mem_strdup(f->item->path));
    static const char *const news_words[] = { [NEWS_NONE] = "",
                                              [NEWS_NEW] = "new; ",
                                              [NEWS_CHANGED] = "changed; ",
                                              [NEWS_THERE] = "",
                                              [NEWS_EARLIER] = "from an earlier task; " };

    buf_append_char(b, '`');
    if (f->item->place == LEFTOVER_HOME)
        buf_append_str(b, "~/");
    leftover_quote(path, NAMED_PATH_MAX, b);
    buf_printf(b, "` (%s%s)", news_words[f->news], planted_words(f->item->kind));
}

/* As far as they are told: a tree that is too big is as big the next time, as a rule. */
static uint32_t told_gaps(const struct leftovers *l)
{
    uint32_t stopped = l->gaps & (LEFTOVERS_TIME | LEFTOVERS_ENTRIES);

    return stopped ? (l->gaps & ~stopped) | LEFTOVERS_TIME : l->gaps;
}

/* What was said of the same job before isn't said again, unless there is news. */
static void describe_gaps(const struct leftovers *now, const struct leftovers *before,
                          struct buf *b)
{
    if (now->gaps == 0 || (before && b->len == 0 && told_gaps(now) == told_gaps(before)))
        return;
    if (b->len > 0)
        buf_append_char(b, ' ');
    buf_append_str(b, "nairid looked for files that programs may run or obey later, but not at "
                      "everything: ");
    if (now->gaps == LEFTOVERS_PACKAGES) {
        buf_append_str(b, "packages below a node_modules, which have such files, were left out.");
        return;
    }
    if (now->gaps & (LEFTOVERS_TIME | LEFTOVERS_ENTRIES))
        buf_printf(b, "the scan stopped after %lu entries%s.", (unsigned long)now->entries,
                   now->gaps & LEFTOVERS_TIME ? ", when its time was over" : "");
    else if (now->gaps & LEFTOVERS_FOUND)
        buf_append_str(b, "there are more of them than it can hold.");
    else if (now->gaps & LEFTOVERS_DEEP)
        buf_append_str(b, "some directories lie too deep.");
    else
        buf_append_str(b, "something could not be read.");
    if (now->gaps & LEFTOVERS_PACKAGES)
        buf_append_str(b, " Packages below a node_modules were left out.");
}

/* What can be said of all that are named. */
static const char *opening(const struct fresh *fresh, size_t named, bool known)
{
    if (!known)
        return "nairid noticed files that programs may run or obey later, of this task or of an "
               "earlier one: ";
    for (size_t i = 0; i < named; i++)
        if (fresh[i].news != NEWS_EARLIER)
            return "nairid noticed that this task left files that programs may run or obey later: ";
    return "nairid noticed files that programs may run or obey later, which it hasn't named yet: ";
}

static void describe_fresh(const struct fresh *fresh, size_t count, bool known,
                           const struct mask *mask, struct buf *b)
{
    size_t named = count < NAMED_MAX ? count : NAMED_MAX;

    if (count == 0)
        return;
    buf_append_str(b, opening(fresh, named, known));
    for (size_t i = 0; i < named; i++) {
        if (i > 0)
            buf_append_str(b, ", ");
        describe_item(&fresh[i], mask, b);
    }
    if (count > named)
        buf_printf(b, " and %zu more", count - named);
    buf_append_char(b, '.');
}

/* What was found is known; of what is fresh only the first are told. */
static void write_known(const struct leftovers *now, const struct fresh *fresh, size_t count,
                        struct buf *b)
{
    AUTO_FREE bool *untold = mem_calloc(now->len + 1, sizeof untold[0]);

    for (size_t i = NAMED_MAX; i < count; i++)
        untold[fresh[i].item - now->items] = true;
    leftover_begin(b);
    for (size_t i = 0; i < now->len; i++) {
        struct leftover item = now->items[i];

        item.untold = untold[i];
        (void)leftover_add(b, &item, item.path); /* there was room for it where it came from */
    }
    leftover_end(b, now->entries, now->gaps);
}

void leftover_describe(const struct leftovers *now, const struct leftovers *before,
                       const struct mask *mask, struct buf *b, struct buf *known)
{
    AUTO_FREE struct fresh *fresh = mem_calloc(now->len + 1, sizeof fresh[0]);
    CLEANUP(buf_done) struct buf said = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < now->len; i++) {
        struct fresh f = { &now->items[i], news_of(&now->items[i], before) };

        if (f.news != NEWS_NONE)
            fresh[count++] = f;
    }
    if (count > 0)
        qsort(fresh, count, sizeof fresh[0], by_weight);
    describe_fresh(fresh, count, before != NULL, mask, &said);
    describe_gaps(now, before, &said);
    buf_append(b, buf_str(&said), said.len);
    if (known)
        write_known(now, fresh, count, known);
}
