#include "settings/namespace.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"

static bool is_trimmed(char c)
{
    return c == '.' || c == '-';
}

char *namespace_make(const char *id)
{
    struct buf b = { 0 };
    AUTO_FREE char *all = NULL;
    const char *start;
    size_t len;

    for (const char *c = id; *c; c++) {
        if (strchr("/\\:", *c))
            buf_append_str(&b, "__");
        else if (isalnum((unsigned char)*c) || strchr("._", *c))
            buf_append_char(&b, *c);
        else if (b.len == 0 || b.data[b.len - 1] != '-')
            buf_append_char(&b, '-');
    }
    all = buf_steal(&b);
    for (start = all; is_trimmed(*start);)
        start++;
    len = strlen(start);
    if (len > NAMESPACE_MAX)
        len = NAMESPACE_MAX;
    while (len > 0 && is_trimmed(start[len - 1]))
        len--;
    return len > 0 ? mem_strndup(start, len) : mem_strdup("default");
}
