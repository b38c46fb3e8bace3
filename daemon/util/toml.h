/* toml.h - values of TOML. Source: TOML 1.0.0, "String". */
#pragma once

struct buf;

/* text, valid UTF-8, as a basic string with its quotes, appended. */
void toml_add_string(struct buf *b, const char *text);
