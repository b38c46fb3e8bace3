#include "main/takeover.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/envfile.h"
#include "settings/namespace.h"
#include "settings/settings.h"
#include "store/oldstate.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/mem.h"

/* Where that can't be told, reading it will say why. */
static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

char *takeover_find(const struct settings *s)
{
    AUTO_FREE char *dir = envfile_dir((const char *const *)environ);
    AUTO_FREE char *namespace = namespace_make(s->agent_id ? s->agent_id : "");
    AUTO_FREE char *path = NULL;

    if (!dir)
        return NULL;
    path = mem_printf("%s/instances/%s/state.json", dir, namespace);
    if (is_there(path))
        return TAKE_PTR(path);
    free(path);
    path = mem_printf("%s/state.json", dir);
    return is_there(path) ? TAKE_PTR(path) : NULL;
}

char *takeover_mark(const char *path)
{
    return mem_printf("%s.taken-by-nairid", path);
}

static int check_owner(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return err_set(err, -errno, "stat '%s': %s", path, strerror(errno));
    if ((st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & S_IWOTH)
        return err_set(err, -EPERM,
                       "it is user %u's with mode %04o, so that another one may have written it; "
                       "chown and chmod 600 it",
                       (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
    return 0;
}

static int read_state(const char *path, const char *runner, struct oldstate *ret_state,
                      struct err *err)
{
    CLEANUP(buf_done) struct buf text = { 0 };
    int r = check_owner(path, err);

    if (r == 0)
        r = fd_read_file(path, OLDSTATE_SIZE_MAX, &text, err);
    return r < 0 ? r
                 : oldstate_read(buf_str(&text), text.len, runner, clock_wall_ms(), ret_state, err);
}

/* Best effort: the journal knows it, too. */
static void put_mark(const char *path, const char *mark, const char *instance_id,
                     const char *state_dir)
{
    char when[32];
    AUTO_FREE char *text =
        mem_printf("%s: nairid took over what is in %s, as instance %s, into %s\n",
                   clock_rfc3339(when, clock_wall_ms()), path, instance_id, state_dir);
    struct err err = { 0 };

    if (fd_write_file(mark, text, strlen(text), 0600, &err) < 0)
        log_warning("old_state_unmarked", "error", err.text, "text",
                    "a daemon with another state directory would take it over as well");
}

static int take(struct store *store, const struct settings *s, const char *path, const char *mark,
                struct err *err)
{
    CLEANUP(oldstate_done) struct oldstate old = { 0 };
    struct err why = { 0 };
    int r = read_state(path, s->runner_name, &old, &why);

    if (r < 0 && (r == -EIO || err_is_shortage(r)))
        return err_set(err, r, "'%s': %s", path, why.text);
    if (r < 0) {
        log_warning("old_state_unusable", "file", path, "error", why.text, "text",
                    "it is left as it is, and nothing of it is taken over; the server sends again "
                    "what was not acknowledged");
        return 0;
    }
    r = store_inherit(store, old.batch, old.instance_id[0] ? old.instance_id : NULL, path, err);
    if (r < 0)
        return r;
    log_notice("old_state_taken", "file", path, "instance", store_instance_id(store), "sessions",
               LOG_N(old.sessions), "waiting", LOG_N(old.waiting), "expired", LOG_N(old.expired),
               "answered", LOG_N(old.seen), "left_out", LOG_N(old.skipped));
    put_mark(path, mark, store_instance_id(store), s->state_dir);
    return 0;
}

int takeover_run(struct store *store, const struct settings *s, struct err *err)
{
    AUTO_FREE char *path = takeover_find(s), *mark = NULL;
    bool may = false;
    int r = path ? store_may_inherit(store, &may, err) : 0;

    if (r < 0 || !may)
        return r;
    mark = takeover_mark(path);
    if (access(mark, F_OK) == 0) {
        log_notice("old_state_left", "file", path, "text",
                   "another state directory has taken it over, as the mark beside it says");
        return 0;
    }
    return take(store, s, path, mark, err);
}
