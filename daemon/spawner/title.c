#include "spawner/title.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/secret.h"

struct area {
    uintptr_t args, args_end, env, env_end;
};

/* proc_pid_stat(5): fields 48 to 51. The second one may hold anything, also spaces. */
static int find_area(struct area *ret_area)
{
    AUTO_CLOSE int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    char text[2048];
    char *at;
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = fd_read_all(fd, text, sizeof text - 1);
    if (n < 0)
        return (int)n;
    text[n] = '\0';
    at = strrchr(text, ')');
    for (int field = 2; at && field < 48; field++)
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, " %" SCNuPTR " %" SCNuPTR " %" SCNuPTR " %" SCNuPTR, &ret_area->args,
                      &ret_area->args_end, &ret_area->env, &ret_area->env_end) != 4)
        return -EINVAL;
    return 0;
}

static void wipe_listed(void)
{
    for (char **item = environ; item && *item; item++)
        secret_wipe(*item, strlen(*item));
}

void title_set(const char *name)
{
    struct area a;
    /* Under a tool such as valgrind the kernel's area isn't ours: then the addresses differ. */
    bool known = find_area(&a) == 0 && a.args == (uintptr_t)program_invocation_name &&
                 a.args < a.args_end && a.env <= a.env_end;

    wipe_listed(); /* also what was set since, elsewhere */
    (void)clearenv();
    if (!known)
        return;
    secret_wipe((void *)a.env, a.env_end - a.env);
    secret_wipe((void *)a.args, a.args_end - a.args);
    for (size_t i = 0; name[i] && i + 2 < a.args_end - a.args; i++)
        ((char *)a.args)[i] = name[i];
    /* A last byte that isn't NUL tells the kernel that this is one string, which ends at its NUL:
     * without it the old length would show. */
    *(char *)(a.args_end - 1) = '.';
}
