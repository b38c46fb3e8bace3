#include "main/luggage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/publicapi.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"

enum { ID_MAX = 64 };

struct piece {
    char *path;
    int fd;
    uint64_t bytes;
    char *id; /* NULL: not sent yet */
};

struct luggage {
    struct piece *pieces;
    size_t len, sent;
};

static int open_piece(const char *path, struct piece *ret_piece, struct err *err)
{
    /* a pipe or a device would keep us waiting */
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "the file '%s' can't be sent along: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "'%s' can't be sent along: it is no regular file", path);
    if (st.st_size == 0)
        return err_set(err, -EINVAL, "'%s' can't be sent along: it is empty", path);
    *ret_piece = (struct piece){ .path = mem_strdup(path),
                                 .fd = TAKE_FD(fd),
                                 .bytes = (uint64_t)st.st_size };
    return 0;
}

int luggage_open(const struct strv *paths, struct luggage **ret_luggage, struct err *err)
{
    CLEANUP_PTR(luggage_free) struct luggage *l = NULL;

    if (paths->len == 0)
        return 0;
    l = mem_new(struct luggage);
    l->pieces = mem_calloc(paths->len, sizeof l->pieces[0]);
    for (; l->len < paths->len; l->len++) {
        int r = open_piece(paths->items[l->len], &l->pieces[l->len], err);

        if (r < 0)
            return r;
    }
    *ret_luggage = TAKE_PTR(l);
    return 0;
}

void luggage_free(struct luggage *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->len; i++) {
        (void)close(l->pieces[i].fd); /* it was only read */
        free(l->pieces[i].path);
        free(l->pieces[i].id);
    }
    free(l->pieces);
    free(l);
}

bool luggage_is_sent(const struct luggage *l)
{
    return !l || l->sent == l->len;
}

static ssize_t read_piece(uint64_t offset, char *bytes, size_t len, void *ctx)
{
    const struct piece *p = ctx;
    ssize_t n = pread(p->fd, bytes, len, (off_t)offset);

    if (n < 0)
        return -errno;
    return n > 0 ? n : -EIO; /* it has become shorter meanwhile */
}

void luggage_send(struct luggage *l, struct publicapi *api,
                  void (*fn)(const struct publicapi_answer *answer, void *ctx), void *ctx)
{
    struct piece *p = &l->pieces[l->sent];
    const char *slash = strrchr(p->path, '/');
    const struct http_form form = {
        .name = "file",
        .filename = slash ? slash + 1 : p->path,
        .bytes = p->bytes,
        .source = read_piece,
        .source_ctx = p,
    };

    publicapi_upload(api, "/attachments", &form, fn, ctx);
}

int luggage_take(struct luggage *l, const struct json *answer)
{
    const char *id = json_get_str(answer, "attachment_id");
    size_t len = id ? strlen(id) : 0;

    if (len == 0 || len > ID_MAX)
        return -EBADMSG;
    l->pieces[l->sent++].id = mem_strdup(id);
    return 0;
}

const char *luggage_name(const struct luggage *l)
{
    return l->pieces[l->sent].path;
}

void luggage_add_ids(const struct luggage *l, struct json *request)
{
    struct json *ids;

    if (!l)
        return;
    ids = json_array();
    for (size_t i = 0; i < l->len; i++)
        json_push_str(ids, l->pieces[i].id);
    json_add(request, "attachment_ids", ids);
}
