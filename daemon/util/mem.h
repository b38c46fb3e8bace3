/* mem.h - allocation that never returns NULL.
 * For sizes of our own choosing: on exhaustion the process says so on stderr and aborts, because a
 * restart recovers from the journal. A size that comes from input is checked against a limit first.
 * Everything returned is released with free(). */
#pragma once
#include <stddef.h>

void *mem_alloc(size_t size);                 /* zeroed; size 0 gives a unique pointer */
void *mem_calloc(size_t count, size_t size);  /* zeroed; aborts on overflow of the product */
void *mem_realloc(void *old, size_t size);    /* the added bytes are not zeroed */
char *mem_strdup(const char *s);              /* NULL gives NULL */
char *mem_strndup(const char *s, size_t len); /* stops at a NUL */
void *mem_dup(const void *bytes, size_t len); /* with a NUL byte after it */
/* The end where there is no memory: for what asks a library that allocates by itself. SIGABRT, and
 * as process 1 of a container or sandbox exit code 75. */
_Noreturn void mem_die(void);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define mem_new(type) ((type *)mem_alloc(sizeof(type)))
