#include "main/instances.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control/adminclient.h"
#include "settings/settings.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/strv.h"

enum { LOOKED_AT_MAX = 1000 };

/* Whether a daemon answers there; one that was killed has left its socket. */
static bool is_answered(const char *dir, uint32_t timeout_ms)
{
    CLEANUP_PTR(json_free) struct json *request = json_object(), *answer = NULL;
    AUTO_FREE char *socket = mem_printf("%s/control.sock", dir);

    json_add_str(request, "verb", "status");
    return access(socket, F_OK) == 0 &&
           adminclient_call(dir, request, timeout_ms, &answer, NULL) == 0;
}

static void collect(const char *parent, uint32_t timeout_ms, struct strv *found)
{
    DIR *entries = opendir(parent);
    const struct dirent *e;

    for (int i = 0; entries && i < LOOKED_AT_MAX && (e = readdir(entries)) != NULL; i++) {
        AUTO_FREE char *dir = mem_printf("%s/%s", parent, e->d_name);

        if (e->d_name[0] != '.' && is_answered(dir, timeout_ms))
            strv_add(found, dir);
    }
    if (entries)
        (void)closedir(entries);
}

int instances_find(const char *dir, uint32_t timeout_ms, char **ret_dir, struct err *err)
{
    AUTO_FREE char *parent = mem_printf("%s/" SETTINGS_INSTANCES, dir);
    CLEANUP(strv_done) struct strv found = { 0 };
    CLEANUP(buf_done) struct buf names = { 0 };

    collect(parent, timeout_ms, &found);
    if (found.len == 0)
        return -ENOENT;
    if (found.len == 1) {
        *ret_dir = mem_strdup(found.items[0]);
        return 0;
    }
    for (size_t i = 0; i < found.len; i++)
        buf_printf(&names, "%s '%s'", i > 0 ? " or" : "", found.items[i]);
    return err_set(err, -ENOTUNIQ, "there are several daemons: name one with --state,%s",
                   buf_str(&names));
}
