/* json_scan.h - whether a text is JSON, before a lenient parser sees it. Pure.
 * cJSON lets through control bytes, odd numbers, bytes after the value, broken UTF-8 and deep
 * nesting; this is the grammar of RFC 8259 in one pass over the text, for util/json.c alone. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct err;

struct json_scan {
    char *
        repaired; /* NULL, or the text with half surrogate pairs replaced; same length; free() it */
    bool has_long; /* whether some number has an exponent or more than 15 characters */
};

/* 0, or -EBADMSG with the byte in err: see json_parse(). */
int json_scan(const char *s, size_t len, struct json_scan *ret_scan, struct err *err);
