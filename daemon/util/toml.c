#include "util/toml.h"

#include "util/buf.h"

void toml_add_string(struct buf *b, const char *text)
{
    buf_append_char(b, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            buf_append_char(b, '\\');
        if (c < ' ' || c == 0x7f)
            buf_printf(b, "\\u%04x", (unsigned)c);
        else
            buf_append_char(b, *text);
    }
    buf_append_char(b, '"');
}
