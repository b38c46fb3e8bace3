/* number.h - the numbers among the settings, in the form and unit of their type. Pure. */
#pragma once
#include "settings/table.h"
#include "settings/values.h"

/* text as a TABLE_NUMBER, _PERCENT, _MS, _S or _SIZE, in the unit that is stored. -EINVAL if it has
 * not the type's form, -ERANGE past 64 bits. */
int number_parse(enum table_type type, const char *text, uint64_t *ret_n);
/* The text that parses to n. Returns buffer. */
const char *number_text(char buffer[VALUES_TEXT_MAX], enum table_type type, uint64_t n);
/* What the type looks like: "a percentage, such as 200%". */
const char *number_form(enum table_type type);
