#include "settings/checkout.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/hostname.h"
#include "util/mem.h"
#include "util/str.h"

/* ---- URLs ---- */

/* Letters, digits and a few others, in parts that name no directory above. */
static bool is_path(const char *path)
{
    for (const char *part = path; *part;) {
        size_t len = strcspn(part, "/");

        if (len == 0 || strspn(part, ".") >= len)
            return false;
        for (size_t i = 0; i < len; i++)
            if (!isalnum((unsigned char)part[i]) && !strchr("._-~+", part[i]))
                return false;
        part += len;
        if (*part == '/' && *++part == '\0')
            return false;
    }
    return *path != '\0';
}

static char *join(const char *host, size_t host_len, const char *path)
{
    AUTO_FREE char *tail = mem_strdup(path);
    struct hostname parsed;
    const char *why;
    size_t len = strlen(tail);

    while (len > 0 && tail[len - 1] == '/')
        tail[--len] = '\0';
    if (str_ends_with(tail, ".git"))
        tail[len - strlen(".git")] = '\0';
    if (!is_path(tail) || !strchr(tail, '/') || hostname_parse(host, host_len, &parsed, &why) < 0 ||
        host_len + 1 + strlen(tail) > CHECKOUT_ID_MAX)
        return NULL;
    return mem_printf("%.*s/%s", (int)host_len, host, tail);
}

/* [USER@]HOST[:PORT]/PATH, after the scheme */
static char *of_authority(const char *rest)
{
    size_t len = strcspn(rest, "/");
    const char *at = memrchr(rest, '@', len);
    const char *host = at ? at + 1 : rest;
    size_t host_len = strcspn(host, ":/");

    if (rest[len] != '/')
        return NULL;
    return join(host, host_len, rest + len + strspn(rest + len, "/"));
}

char *checkout_of_url(const char *url)
{
    static const char *const schemes[] = { "https://", "http://", "ssh://", "git://",
                                           "git+ssh://" };
    const char *colon, *at, *host;

    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
            return of_authority(url + strlen(schemes[i]));
    /* [USER@]HOST:PATH, as ssh has it */
    colon = strchr(url, ':');
    if (!colon || strstr(url, "://") || memchr(url, '/', (size_t)(colon - url)))
        return NULL;
    at = memrchr(url, '@', (size_t)(colon - url));
    host = at ? at + 1 : url;
    return join(host, (size_t)(colon - host), colon + 1 + strspn(colon + 1, "/"));
}

/* ---- the file ---- */

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t\r");
}

static void trim(char *s)
{
    size_t len = strlen(s);

    while (len > 0 && strchr(" \t\r", s[len - 1]))
        s[--len] = '\0';
}

/* [remote "origin"], in whatever case git takes it. */
static bool is_origin(const char *line)
{
    const char *name = skip_blanks(line + 1);

    if (strncasecmp(name, "remote", strlen("remote")) != 0)
        return false;
    name = skip_blanks(name + strlen("remote"));
    return str_starts_with(name, "\"origin\"") && *skip_blanks(name + strlen("\"origin\"")) == ']';
}

/* The value of "url = VALUE", or NULL. A quoted one is none that we take: no URL needs it. */
static char *url_of(const char *line)
{
    const char *equals;
    char *value;

    if (strncasecmp(line, "url", 3) != 0)
        return NULL;
    equals = skip_blanks(line + 3);
    if (*equals != '=')
        return NULL;
    value = mem_strdup(skip_blanks(equals + 1));
    value[strcspn(value, "#;")] = '\0';
    trim(value);
    return value;
}

char *checkout_origin(const char *text, size_t len)
{
    AUTO_FREE char *all = mem_dup(text, len);
    char *rest = all, *line, *url = NULL;
    bool in_origin = false;

    while (!url && (line = strsep(&rest, "\n")) != NULL) {
        const char *start = skip_blanks(line);

        if (*start == '[')
            in_origin = is_origin(start);
        else if (in_origin)
            url = url_of(start);
    }
    return url;
}

static int open_git(const char *dir, int *ret_fd, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/.git", dir);
    AUTO_CLOSE int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int r = fd < 0 ? -errno : 0;

    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (err_set_machine(err, r, "look at", path) < 0)
        return r;
    if (r < 0)
        return err_set(err, r, "look at '%s': %s", path, strerror(-r));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, -EINVAL,
                       "'%s' is no directory (a linked work tree, or a link), which isn't followed",
                       path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, -EPERM,
                       "'%s' belongs to user %u, and nairid runs as user %u: what that user wrote "
                       "doesn't say which agent this is",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    *ret_fd = TAKE_FD(fd);
    return 1;
}

static int read_config(const char *dir, int git, char **ret_text, size_t *ret_len, struct err *err)
{
    AUTO_CLOSE int fd = openat(git, "config", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    AUTO_FREE char *text = mem_alloc(CHECKOUT_CONFIG_MAX + 1);
    struct stat st;
    ssize_t n = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;

    if (n == 0 && !S_ISREG(st.st_mode))
        n = -EINVAL;
    if (n == 0)
        n = fd_read_all(fd, text, CHECKOUT_CONFIG_MAX + 1);
    if (n > CHECKOUT_CONFIG_MAX)
        n = -EMSGSIZE;
    if (n < 0 && err_set_machine(err, (int)n, "read the config of the repository", dir) < 0)
        return (int)n;
    if (n < 0)
        return err_set(err, (int)n, "read '%s/.git/config': %s", dir, strerror((int)-n));
    *ret_text = TAKE_PTR(text);
    *ret_len = (size_t)n;
    return 0;
}

int checkout_identify(const char *dir, char **ret_id, struct err *err)
{
    AUTO_CLOSE int git = -1;
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *url = NULL;
    size_t len = 0;
    int r = open_git(dir, &git, err);

    *ret_id = NULL;
    if (r <= 0)
        return r;
    r = read_config(dir, git, &text, &len, err);
    if (r < 0)
        return r;
    url = checkout_origin(text, len);
    *ret_id = url ? checkout_of_url(url) : NULL;
    if (!*ret_id)
        return err_set(err, -EINVAL,
                       "the repository '%s' has no remote \"origin\" of the form HOST/OWNER/NAME",
                       dir);
    return 0;
}
