#include "settings/envfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/pairs.h"
#include "settings/variables.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

char *envfile_dir(const char *const *env)
{
    const char *named = variables_get(env, "NAIRI_CONFIG_DIR");
    const char *home = variables_get(env, "HOME");

    if (!named)
        named = variables_get(env, "EKSEC_CONFIG_DIR");
    if (!named)
        named = "~/.config/eksecd";
    if (*named == '/')
        return mem_strdup(named);
    if (!str_starts_with(named, "~/") || !home || *home != '/')
        return NULL;
    return mem_printf("%s/%s", str_eq(home, "/") ? "" : home, named + 2);
}

/* ---- reading ---- */

static int check_file(const char *path, int fd, struct strv *faults, struct err *err)
{
    AUTO_FREE char *warning = NULL;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "'%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "'%s' is not a regular file: remove it", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, -EPERM, "'%s' belongs to user %u and sets what user %u runs; chown it",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & S_IWOTH)
        return err_set(err, -EPERM,
                       "'%s' may be written by anybody on this machine, and it sets what runs; "
                       "chmod 600 it",
                       path);
    if (st.st_size > DOTENV_SIZE_MAX)
        return err_set(err, -EMSGSIZE, "'%s' is larger than %d KiB", path, DOTENV_SIZE_MAX / 1024);
    if (st.st_mode & (S_IRGRP | S_IWGRP | S_IROTH)) {
        warning = mem_printf("%s: others may %s; chmod 600 it", path,
                             st.st_mode & S_IWGRP ? "change it, which sets what runs"
                                                  : "read the secrets in it");
        strv_add(faults, warning);
    }
    return 0;
}

static int open_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    int r = fd < 0 ? -errno : fd;

    if (fd >= 0 || r == -ENOENT || r == -ENOTDIR)
        return r == -ENOTDIR ? -ENOENT : r;
    if (r == -ELOOP)
        return err_set(err, r, "open '%s': it is a symbolic link; put the file itself there", path);
    if (err_set_machine(err, r, "open", path) < 0)
        return r;
    return err_set(err, r, "open '%s': %s; let user %u read it, or remove it", path, strerror(-r),
                   (unsigned)geteuid());
}

int envfile_read(const char *path, struct dotenv *ret_dotenv, struct err *err)
{
    CLEANUP(strv_done) struct strv faults = { 0 };
    AUTO_CLOSE int fd = open_file(path, err);
    AUTO_FREE char *text = NULL;
    ssize_t n;
    int r;

    *ret_dotenv = (struct dotenv){ 0 };
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    r = check_file(path, fd, &faults, err);
    if (r < 0)
        return r;
    text = mem_alloc(DOTENV_SIZE_MAX);
    n = fd_read_all(fd, text, DOTENV_SIZE_MAX);
    if (n < 0)
        return err_set(err, (int)n, "read '%s': %s", path, strerror((int)-n));
    dotenv_parse(path, text, (size_t)n, ret_dotenv);
    secret_wipe(text, (size_t)n);
    for (size_t i = 0; i < faults.len; i++)
        strv_add(&ret_dotenv->faults, faults.items[i]);
    return 0;
}

int envfile_key(const char *path, struct secret **ret_key, const char **ret_name, struct err *err)
{
    static const char *const names[] = { "NAIRI_API_KEY", "EKSEC_API_KEY" };
    CLEANUP(dotenv_done) struct dotenv d = { 0 };
    int r = path ? envfile_read(path, &d, err) : 0;

    *ret_key = NULL;
    for (size_t i = 0; r == 0 && !*ret_key && i < ARRAY_SIZE(names); i++) {
        const struct dotenv_entry *e = dotenv_find(&d, names[i]);

        if (!e || !*e->value)
            continue;
        r = secret_new(e->value, strlen(e->value), ret_key, err);
        if (r < 0)
            return (void)err_prefix(err, "'%s': %s", path, names[i]), r;
        *ret_name = names[i];
    }
    return r;
}

/* ---- the runner's environment ---- */

static struct settings_pair *find_pair(struct settings_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->len; i++)
        if (str_eq(pairs->items[i].name, name))
            return &pairs->items[i];
    return NULL;
}

static void set_pair(struct settings *s, const char *name, const char *value)
{
    struct settings_pair *pair = find_pair(&s->runner_env, name);

    if (!pair) {
        pairs_add(&s->runner_env, name, value);
        return;
    }
    secret_wipe(pair->value, strlen(pair->value));
    free(pair->value);
    pair->value = mem_strdup(value);
}

void envfile_merge(struct settings *s, const struct dotenv *d)
{
    strv_done(&s->env_names);
    for (size_t i = 0; i < d->len; i++) {
        const struct dotenv_entry *e = &d->items[i];

        if (variables_are_ours(e->name) || find_pair(&s->runner_secrets, e->name))
            continue;
        set_pair(s, e->name, e->value);
        strv_add(&s->env_names, e->name);
    }
}

void envfile_hide(struct settings *s)
{
    for (size_t i = 0; i < s->env_names.len; i++) {
        struct settings_pair *pair = find_pair(&s->runner_env, s->env_names.items[i]);

        if (pair)
            secret_wipe(pair->value, strlen(pair->value));
    }
}

int envfile_show(struct settings *s, struct err *err)
{
    CLEANUP(dotenv_done) struct dotenv d = { 0 };
    int r = s->env_file ? envfile_read(s->env_file, &d, err) : 0;

    if (r == 0)
        for (size_t i = 0; i < s->env_names.len; i++) {
            const struct dotenv_entry *e = dotenv_find(&d, s->env_names.items[i]);

            set_pair(s, s->env_names.items[i], e ? e->value : "");
        }
    return r;
}
