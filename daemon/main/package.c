#include "main/package.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

#define MODULES "/node_modules/"

/* Every profile shows them. */
static bool is_of_the_system(const char *path)
{
    static const char *const system[] = { "/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/" };

    for (size_t i = 0; i < ARRAY_SIZE(system); i++)
        if (str_starts_with(path, system[i]))
            return true;
    return false;
}

/* How much of the path names its package: below the last node_modules/ one folder, or two where the
 * first is a scope (@owner). 0: it is in none. */
static size_t package_length(const char *path)
{
    const char *last = NULL, *end;

    for (const char *at = path; (at = strstr(at, MODULES)); at++)
        last = at;
    if (!last)
        return 0;
    end = last + strlen(MODULES);
    if (*end == '@' && strchr(end, '/'))
        end = strchr(end, '/') + 1;
    end = strchr(end, '/');
    return end ? (size_t)(end - path) : 0;
}

void package_show(char **word, struct strv *read)
{
    char *real = (*word)[0] == '/' ? realpath(*word, NULL) : NULL;
    AUTO_FREE char *shown = NULL;
    struct stat st;
    size_t len;

    if (!real)
        return;
    free(*word);
    *word = real;
    if (is_of_the_system(real) || stat(real, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    len = package_length(real);
    shown = mem_strndup(real, len > 0 ? len : strlen(real));
    strv_add(read, shown);
}
