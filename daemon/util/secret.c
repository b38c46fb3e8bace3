#include "util/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"

struct secret {
    size_t len;
    char text[];
};

int secret_setup(void)
{
    return sodium_init() < 0 ? -ENOSYS : 0;
}

/* A forked process finds zeros here: madvise(2), MADV_WIPEONFORK. Kernels before 4.14 can't, and
 * none of those has what a sandbox needs. */
static void keep_from_children(const struct secret *s, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)s & ~(page - 1);
    uintptr_t end = ((uintptr_t)s + size + page - 1) & ~(page - 1);

    (void)madvise((void *)start, end - start, MADV_WIPEONFORK);
}

int secret_new(const void *bytes, size_t len, struct secret **ret_secret, struct err *err)
{
    /* sodium_malloc() puts the end, not the start, on a boundary */
    size_t size = (sizeof(struct secret) + len + 1 + 15) & ~(size_t)15;
    struct secret *s;

    if (len == 0 || len > SECRET_MAX)
        return err_set(err, -EINVAL, "a secret has 1 to %d bytes, this one %zu", SECRET_MAX, len);
    s = sodium_malloc(size);
    if (s == NULL)
        return err_set(err, -ENOMEM, "no memory for a secret");
    if (sodium_mlock(s, size) < 0) { /* sodium_malloc() tried, but doesn't say how it went */
        sodium_free(s);
        return err_set(err, -ENOMEM,
                       "memory for a secret can't be locked: raise the limit of locked memory "
                       "(ulimit -l, LimitMEMLOCK=)");
    }
    keep_from_children(s, size);
    s->len = len;
    memcpy(s->text, bytes, len);
    memset(s->text + len, 0, size - sizeof *s - len);
    (void)sodium_mprotect_readonly(s); /* one more wall; the secret is sound without */
    *ret_secret = s;
    return 0;
}

/* Whether the service manager put the file there: its access is then the manager's business. */
static bool is_credential(const char *path)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    size_t len = directory != NULL ? strlen(directory) : 0;

    while (len > 1 && directory[len - 1] == '/')
        len--;
    return len > 0 && strncmp(path, directory, len) == 0 && path[len] == '/' &&
           path[len + 1] != '\0' && strchr(path + len + 1, '/') == NULL;
}

static int check_file(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "stat '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "'%s' is not a regular file: put the secret into one", path);
    if ((st.st_mode & 077) != 0 && !is_credential(path))
        return err_set(err, -EACCES,
                       "'%s' has mode %04o, so others may get at the secret: chmod 600 it", path,
                       (unsigned)(st.st_mode & 07777));
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static int from_file(int fd, const char *path, char *bytes, size_t size, struct secret **ret_secret,
                     struct err *err)
{
    ssize_t n = fd_read_all(fd, bytes, size);
    size_t len = n > 0 ? (size_t)n : 0;

    if (n < 0)
        return err_set(err, (int)n, "read '%s': %s", path, strerror((int)-n));
    if (len == size)
        return err_set(err, -EMSGSIZE, "'%s' is larger than the %d bytes a secret may have", path,
                       SECRET_MAX);
    while (len > 0 && is_space(bytes[len - 1]))
        len--;
    if (len == 0)
        return err_set(err, -EINVAL, "'%s' is empty: put the secret into it", path);
    if (memchr(bytes, '\0', len) != NULL)
        return err_set(err, -EINVAL, "'%s' has a NUL byte in it: a secret is text", path);
    return secret_new(bytes, len, ret_secret, err);
}

int secret_load(const char *path, struct secret **ret_secret, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    char bytes[SECRET_MAX + 64]; /* with some white space at the end */
    int r = fd < 0 ? -errno : 0;

    if (r == -ELOOP)
        return err_set(err, r, "open '%s': it is a symbolic link; name the file itself", path);
    if (err_set_machine(err, r, "open", path) < 0)
        return r;
    if (r < 0)
        return err_set(err, r,
                       "open '%s': %s; the secret must be in that file, readable for user %u only",
                       path, strerror(-r), (unsigned)geteuid());
    r = check_file(fd, path, err);
    if (r < 0)
        return r;
    r = from_file(fd, path, bytes, sizeof bytes, ret_secret, err);
    secret_wipe(bytes, sizeof bytes);
    return r;
}

/* Every place of it: the environment may hold a name twice, and getenv() shows the first. */
static void wipe_env(const char *name)
{
    size_t len = strlen(name);

    for (char **e = environ; e != NULL && *e != NULL; e++)
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
            secret_wipe(*e + len + 1, strlen(*e + len + 1));
}

int secret_take_env(const char *name, struct secret **ret_secret, struct err *err)
{
    const char *value = getenv(name);
    int r;

    if (value == NULL || value[0] == '\0')
        return err_set(err, -ENOENT, "the environment variable %s isn't set", name);
    r = secret_new(value, strlen(value), ret_secret, err);
    wipe_env(name); /* also when it couldn't be kept */
    (void)unsetenv(name);
    if (r < 0)
        (void)err_prefix(err, "environment variable %s", name);
    return r;
}

const char *secret_text(const struct secret *s)
{
    return s->text;
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

bool secret_equals(const struct secret *s, const char *text, size_t len)
{
    return len == s->len && sodium_memcmp(s->text, text, len) == 0;
}

void secret_free(struct secret *s)
{
    /* sodium_free() wipes, and doesn't look whether it may: what stays read-only is left as it is,
     * in locked memory that no other process sees */
    if (s != NULL && sodium_mprotect_readwrite(s) == 0)
        sodium_free(s);
}

void secret_wipe(void *bytes, size_t len)
{
    sodium_memzero(bytes, len);
}

void secret_wipe_buf(struct buf *b)
{
    if (b->data != NULL)
        secret_wipe(b->data, b->cap);
    buf_done(b);
}
