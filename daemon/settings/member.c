#include "settings/member.h"

#include "settings/table.h"
#include "util/strv.h"

char **member_text(const struct settings *s, const struct table_row *row)
{
    return (char **)((uintptr_t)s + row->offset);
}

uint32_t *member_number(const struct settings *s, const struct table_row *row)
{
    return (uint32_t *)((uintptr_t)s + row->offset);
}

uint64_t *member_size(const struct settings *s, const struct table_row *row)
{
    return (uint64_t *)((uintptr_t)s + row->offset);
}

enum settings_permissions *member_permissions(const struct settings *s, const struct table_row *row)
{
    return (enum settings_permissions *)((uintptr_t)s + row->offset);
}

struct strv *member_list(const struct settings *s, const struct table_row *row)
{
    return (struct strv *)((uintptr_t)s + row->offset);
}

struct settings_pairs *member_pairs(const struct settings *s, const struct table_row *row)
{
    return (struct settings_pairs *)((uintptr_t)s + row->offset);
}

bool *member_switch(const struct settings *s, const struct table_row *row)
{
    return (bool *)((uintptr_t)s + row->offset);
}

struct broker_list *member_brokers(const struct settings *s, const struct table_row *row)
{
    return (struct broker_list *)((uintptr_t)s + row->offset);
}
