#include "hub/home.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "hub/db.h"
#include "hub/migration.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

char *home_path(const char *path, struct err *err)
{
    const char *state = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (path)
        return mem_strdup(path);
    if (!str_is_empty(state)) /* systemd gives several separated by colons */
        return mem_printf("%.*s/hub.db", (int)strcspn(state, ":"), state);
    if (!str_is_empty(xdg))
        return mem_printf("%s/nairi-hub/hub.db", xdg);
    if (geteuid() == 0)
        return mem_strdup("/var/lib/nairi-hub/hub.db");
    if (!str_is_empty(home))
        return mem_printf("%s/.local/state/nairi-hub/hub.db", home);
    (void)err_set(err, -ENOENT, "HOME isn't set: name the database with --db FILE");
    return NULL;
}

int home_make(const char *path, struct err *err)
{
    AUTO_FREE char *part = mem_strdup(path);

    for (char *s = strchr(part + 1, '/'); s; s = strchr(s + 1, '/')) {
        *s = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return err_set(err, -errno, "make the directory '%s': %s", part, strerror(errno));
        *s = '/';
    }
    return 0;
}

int home_lock(const char *path, int *ret_fd, struct err *err)
{
    AUTO_FREE char *lock = mem_printf("%s.lock", path);
    AUTO_CLOSE int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_set(err, -errno, "open the lock '%s': %s", lock, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return err_set(err, -EBUSY,
                           "another nairi-hub serves '%s' already: stop that one, or name another "
                           "file with --db",
                           path);
        return err_set(err, -errno, "lock '%s': %s", lock, strerror(errno));
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int home_open(const char *path, struct db **ret_db, struct err *err)
{
    CLEANUP_PTR(db_close) struct db *db = NULL;
    int rc = home_make(path, err);

    if (rc >= 0)
        rc = db_open(path, true, &db, err);
    if (rc >= 0)
        rc = migration_run(db, path, err);
    if (rc < 0)
        return rc;
    *ret_db = TAKE_PTR(db);
    return 0;
}
