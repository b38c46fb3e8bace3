#include "util/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

void mem_die(void)
{
    static const char words[] = "out of memory, aborting; a restart recovers from the journal\n";

    (void)!write(STDERR_FILENO, words, sizeof words - 1); /* nobody is left to tell */
    if (getpid() == 1)
        _exit(EX_TEMPFAIL); /* the kernel keeps SIGABRT from a process 1: abort() would crash it */
    abort();
}

void *mem_alloc(size_t size)
{
    return mem_calloc(1, size);
}

void *mem_calloc(size_t count, size_t size)
{
    size_t total;
    void *p;

    if (__builtin_mul_overflow(count, size, &total) || total > PTRDIFF_MAX)
        mem_die();
    p = calloc(1, total > 0 ? total : 1);
    if (p == NULL)
        mem_die();
    return p;
}

void *mem_realloc(void *old, size_t size)
{
    void *p;

    if (size > PTRDIFF_MAX)
        mem_die();
    p = realloc(old, size > 0 ? size : 1);
    if (p == NULL)
        mem_die();
    return p;
}

void *mem_dup(const void *bytes, size_t len)
{
    char *p;

    if (len >= PTRDIFF_MAX)
        mem_die();
    p = mem_realloc(NULL, len + 1);
    if (len > 0)
        memcpy(p, bytes, len);
    p[len] = '\0';
    return p;
}

char *mem_strdup(const char *s)
{
    return s != NULL ? mem_dup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t len)
{
    return mem_dup(s, strnlen(s, len));
}

char *mem_printf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        mem_die();
    return s;
}
