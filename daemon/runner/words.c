#include "runner/words.h"

#include <string.h>

#include "util/buf.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

static bool fits(const struct words_row *row, const struct words_failure *f)
{
    return (!row->kind || str_eq(row->kind, f->kind)) &&
           (!row->code || str_eq(row->code, f->code)) &&
           (row->status_from == 0 ||
            (f->status >= row->status_from && f->status <= row->status_to)) &&
           (!row->says || (f->words && strcasestr(f->words, row->says)));
}

const struct words_row *words_find(const struct words_row *rows, size_t count,
                                   const struct words_failure *failure)
{
    for (size_t i = 0; i < count; i++)
        if (fits(&rows[i], failure))
            return &rows[i];
    return NULL;
}

/* How much of words is shown: whole ones if there are several, as the beginning of a secret would
 * pass for text. */
static size_t shown_length(const char *words, size_t len)
{
    size_t cut = utf8_cut(words, len, WORDS_MAX), keep = cut;

    while (keep > 0 && keep < len && !strchr(" \t\n", words[keep]))
        keep--;
    return keep > 0 ? keep : cut;
}

char *words_speak(const char *product, const char *text, const char *words)
{
    struct buf b = { 0 };
    size_t len = words ? strlen(words) : 0, keep;

    buf_append_str(&b, text);
    while (len > 0 && strchr(" \t\n", words[len - 1]))
        len--;
    keep = len > 0 ? shown_length(words, len) : 0;
    if (keep > 0) {
        buf_printf(&b, ". %s said: ", product);
        buf_append(&b, words, keep);
        buf_append_str(&b, keep < len ? "..." : "");
    }
    return buf_steal(&b);
}

char *words_stderr(const struct words_row *rows, size_t count, const char *tail,
                   bool *ret_session_gone)
{
    const struct words_row *row = words_find(rows, count, &(struct words_failure){ .words = tail });

    *ret_session_gone = row && row->session_gone;
    return row ? mem_strdup(row->text) : NULL;
}
