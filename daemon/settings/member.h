/* member.h - where a row of the table has its member in struct settings. For settings/ only. The
 * row says which of these fits: its type is the caller's to look at. */
#pragma once
#include "settings/settings.h"
#include <stdint.h>

struct table_row;

char **member_text(const struct settings *s, const struct table_row *row);
uint32_t *member_number(const struct settings *s, const struct table_row *row);
uint64_t *member_size(const struct settings *s, const struct table_row *row);
enum settings_permissions *member_permissions(const struct settings *s,
                                              const struct table_row *row);
struct strv *member_list(const struct settings *s, const struct table_row *row);
bool *member_switch(const struct settings *s, const struct table_row *row);
struct broker_list *member_brokers(const struct settings *s, const struct table_row *row);
struct settings_pairs *member_pairs(const struct settings *s, const struct table_row *row);
