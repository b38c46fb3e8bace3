#include "settings/field.h"

#include <stdlib.h>
#include <string.h>

#include "settings/brokerfile.h"
#include "settings/member.h"
#include "settings/number.h"
#include "settings/pairs.h"
#include "settings/settings.h"
#include "settings/table.h"
#include "settings/values.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/strv.h"

static void print_proxy(struct buf *b, const char *proxy)
{
    const char *at = strrchr(proxy, '@');
    const char *scheme = strstr(proxy, "://");
    CLEANUP(buf_done) struct buf shown = { 0 };

    if (!at) {
        values_word(b, proxy);
        return;
    }
    if (scheme && scheme < at)
        buf_append(&shown, proxy, (size_t)(scheme - proxy) + 3);
    buf_append_str(&shown, "[hidden]");
    buf_append_str(&shown, at);
    values_word(b, buf_str(&shown));
}

static void print_list(struct buf *b, const struct strv *list)
{
    buf_append_char(b, '[');
    for (size_t i = 0; i < list->len; i++) {
        buf_append_str(b, i > 0 ? ", " : "");
        values_word(b, list->items[i]);
    }
    buf_append_char(b, ']');
}

static void print_pairs(struct buf *b, const struct settings_pairs *pairs, bool are_files)
{
    buf_append_char(b, '{');
    for (size_t i = 0; i < pairs->len; i++) {
        buf_printf(b, "%s%s: ", i > 0 ? ", " : "", pairs->items[i].name);
        if (are_files) {
            buf_append_str(b, "{file: ");
            values_word(b, pairs->items[i].value);
            buf_append_char(b, '}');
        } else {
            buf_append_str(b, "\"[hidden]\""); /* people put tokens there all the same */
        }
    }
    buf_append_char(b, '}');
}

static void print_brokers(struct buf *b, const struct broker_list *list)
{
    buf_append_char(b, '[');
    for (size_t i = 0; i < list->len; i++) {
        buf_append_str(b, i > 0 ? ", " : "");
        brokerfile_print(&list->items[i], b);
    }
    buf_append_char(b, ']');
}

void field_print(const struct settings *s, const struct table_row *row, struct buf *b)
{
    char buffer[VALUES_TEXT_MAX];
    const char *text;

    switch (row->type) {
    case TABLE_TEXT:
    case TABLE_ID:
    case TABLE_URL:
    case TABLE_PROXY:
    case TABLE_PATH:
    case TABLE_CHOICE:
        text = *member_text(s, row) ? *member_text(s, row) : row->off ? row->off : "";
        if (row->type == TABLE_PROXY)
            print_proxy(b, text);
        else
            values_word(b, text);
        return;
    case TABLE_PERMISSIONS:
        buf_append_str(b, *member_permissions(s, row) == SETTINGS_EDITS ? "edits" : "bypass");
        return;
    case TABLE_NUMBER:
    case TABLE_PERCENT:
    case TABLE_MS:
    case TABLE_S:
        buf_append_str(b, number_text(buffer, row->type, *member_number(s, row)));
        return;
    case TABLE_SIZE:
        buf_append_str(b, number_text(buffer, row->type, *member_size(s, row)));
        return;
    case TABLE_WORDS:
    case TABLE_PATHS:
    case TABLE_HOSTS:
        print_list(b, member_list(s, row));
        return;
    case TABLE_ENV:
    case TABLE_FILES:
        print_pairs(b, member_pairs(s, row), row->type == TABLE_FILES);
        return;
    case TABLE_SWITCH:
        buf_append_str(b, *member_switch(s, row) ? "on" : "off");
        return;
    case TABLE_BROKERS:
        print_brokers(b, member_brokers(s, row));
        return;
    }
}

static bool lists_equal(const struct strv *a, const struct strv *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        if (!str_eq(a->items[i], b->items[i]))
            return false;
    return true;
}

bool field_equals(const struct settings *a, const struct settings *b, const struct table_row *row)
{
    switch (row->type) {
    case TABLE_TEXT:
    case TABLE_ID:
    case TABLE_URL:
    case TABLE_PROXY:
    case TABLE_PATH:
    case TABLE_CHOICE:
        return str_eq(*member_text(a, row), *member_text(b, row));
    case TABLE_PERMISSIONS:
        return *member_permissions(a, row) == *member_permissions(b, row);
    case TABLE_NUMBER:
    case TABLE_PERCENT:
    case TABLE_MS:
    case TABLE_S:
        return *member_number(a, row) == *member_number(b, row);
    case TABLE_SIZE:
        return *member_size(a, row) == *member_size(b, row);
    case TABLE_WORDS:
    case TABLE_PATHS:
    case TABLE_HOSTS:
        return lists_equal(member_list(a, row), member_list(b, row));
    case TABLE_ENV:
    case TABLE_FILES:
        return pairs_equal(member_pairs(a, row), member_pairs(b, row));
    case TABLE_SWITCH:
        return *member_switch(a, row) == *member_switch(b, row);
    case TABLE_BROKERS:
        return brokerfile_equal(member_brokers(a, row), member_brokers(b, row));
    }
    return false;
}

void field_done(struct settings *s, const struct table_row *row)
{
    switch (row->type) {
    case TABLE_TEXT:
    case TABLE_ID:
    case TABLE_URL:
    case TABLE_PROXY:
    case TABLE_PATH:
    case TABLE_CHOICE:
        free(*member_text(s, row));
        *member_text(s, row) = NULL;
        return;
    case TABLE_WORDS:
    case TABLE_PATHS:
    case TABLE_HOSTS:
        strv_done(member_list(s, row));
        return;
    case TABLE_ENV:
    case TABLE_FILES:
        pairs_done(member_pairs(s, row));
        return;
    case TABLE_BROKERS:
        broker_done_all(member_brokers(s, row));
        return;
    case TABLE_PERMISSIONS:
    case TABLE_NUMBER:
    case TABLE_PERCENT:
    case TABLE_MS:
    case TABLE_S:
    case TABLE_SIZE:
    case TABLE_SWITCH:
        return;
    }
}
