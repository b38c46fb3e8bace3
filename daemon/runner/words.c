#include "runner/words.h"

#include <stddef.h>
#include <string.h>

#include "util/buf.h"
#include "util/utf8.h"

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
