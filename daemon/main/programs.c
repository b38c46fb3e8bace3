#include "main/programs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

#define DAEMON "nairid"
#define HUB    "nairi-hub"

/* Where the machine can't even look, what is tried next should say why. */
static bool can_run(const char *path)
{
    return access(path, X_OK) == 0 || err_set_machine(NULL, -errno, "look at", path) < 0;
}

int programs_find(struct programs *ret_programs, struct err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    AUTO_FREE char *hub = NULL;
    char *slash;
    int r = n < 0 ? err_set_machine(err, -errno, "read", "/proc/self/exe") : 0;

    if (r < 0)
        return r;
    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        hub = mem_printf("%.*s/" HUB, (int)(slash - self), self);
    *ret_programs = (struct programs){
        /* a replaced executable reads as "PATH (deleted)", which can't be executed */
        .daemon = mem_strdup(slash && can_run(self) ? self : DAEMON),
        .hub = mem_strdup(hub && can_run(hub) ? hub : HUB),
    };
    return 0;
}

void programs_done(struct programs *p)
{
    free(p->daemon);
    free(p->hub);
    *p = (struct programs){ 0 };
}

const char *programs_name(void)
{
    return strchr(program_invocation_name, '/') ? program_invocation_name : DAEMON;
}
