#include "hub/delivery.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hub/server.h"
#include "util/buf.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/ulid.h"

enum { BASE64_BYTES = DELIVERY_PIECE / 3 * 4 };

#define DATA ",\"data\":\""
#define TAIL "\"}"

struct delivery {
    struct depot_op op; /* must be first; one at a time */
    bool busy;          /* op is given */
    bool dropped;       /* free it once op is back */
    struct depot *depot;
    struct server_request *request;
    delivery_ready_fn ready; /* NULL: told */
    void *ctx;
    char id[ULID_ID_MAX];
    int64_t size;    /* of the file */
    int64_t left;    /* of it, not read yet */
    struct buf lead; /* what goes out before the file */
    int failed;      /* errno of reading */
    /* what goes out next; the thread's while op is given */
    char out[BASE64_BYTES + sizeof TAIL];
    size_t out_len, out_used;
    int fd;
    uint8_t piece[DELIVERY_PIECE];
};

/* ---- a thread of the depot ---- */

static int open_file(struct delivery *d, int dir)
{
    struct stat st;

    d->fd = openat(dir, d->id, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (d->fd < 0 || fstat(d->fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) && st.st_size == d->size ? 0 : -EBADMSG;
}

static int run_read(struct depot_op *op, int dir)
{
    struct delivery *d = (struct delivery *)op;
    size_t want = d->left < DELIVERY_PIECE ? (size_t)d->left : DELIVERY_PIECE;
    int rc = d->fd < 0 ? open_file(d, dir) : 0;
    ssize_t n = rc < 0 ? rc : fd_read_all(d->fd, d->piece, want);

    if (n < 0)
        return (int)n;
    if ((size_t)n != want)
        return -EBADMSG; /* it has been cut */
    (void)sodium_bin2base64(d->out, sizeof d->out, d->piece, want, sodium_base64_VARIANT_ORIGINAL);
    d->out_len = strlen(d->out);
    d->left -= (int64_t)want;
    if (d->left == 0) {
        memcpy(d->out + d->out_len, TAIL, strlen(TAIL));
        d->out_len += strlen(TAIL);
    }
    return 0;
}

/* ---- the loop ---- */

static void free_now(struct delivery *d)
{
    if (d->fd >= 0)
        (void)close(d->fd); /* nothing was written */
    buf_done(&d->lead);
    free(d);
}

static void drop(void *ctx)
{
    struct delivery *d = ctx;

    d->dropped = true;
    if (!d->busy)
        free_now(d);
}

static void on_read(struct depot_op *op, int result);

static void read_next(struct delivery *d)
{
    assert(!d->busy);
    d->busy = true;
    d->out_used = 0;
    d->out_len = 0;
    d->op = (struct depot_op){ .run = run_read, .done = on_read };
    depot_give(d->depot, &d->op);
}

static ssize_t take(char *bytes, size_t max, void *ctx)
{
    struct delivery *d = ctx;
    size_t len = d->lead.len > 0 ? d->lead.len : d->out_len - d->out_used;

    if (d->failed)
        return d->failed;
    if (len == 0) {
        server_request_hold(d->request);
        if (!d->busy)
            read_next(d);
        return 0;
    }
    len = len < max ? len : max;
    if (d->lead.len > 0) {
        memcpy(bytes, d->lead.data, len);
        buf_consume(&d->lead, len);
    } else {
        memcpy(bytes, d->out + d->out_used, len);
        d->out_used += len;
    }
    return (ssize_t)len;
}

static void tell(struct delivery *d, int result)
{
    int64_t base64_len = (d->size + 2) / 3 * 4;
    struct server_source source = { .size = d->lead.len + (uint64_t)base64_len + strlen(TAIL),
                                    .read = take,
                                    .done = drop,
                                    .ctx = d };
    delivery_ready_fn ready = d->ready;

    d->ready = NULL;
    if (result >= 0) {
        ready(0, NULL, &source, d->ctx);
        return;
    }
    ready(500,
          result == -ENOENT || result == -EBADMSG
              ? "the hub has lost the file of this attachment: send it again"
              : "the hub can't read the file of this attachment",
          NULL, d->ctx);
    free_now(d);
}

static void on_read(struct depot_op *op, int result)
{
    struct delivery *d = (struct delivery *)op;

    d->busy = false;
    if (result < 0)
        log_error("attachment_unreadable", "id", d->id, "dir", depot_dir(d->depot), "error",
                  result == -EBADMSG ? "its size is another one" : strerror(-result));
    d->failed = result < 0 ? result : 0;
    if (d->dropped)
        free_now(d);
    else if (d->ready)
        tell(d, result);
    else
        server_request_go(d->request);
}

void delivery_start(struct depot *depot, struct server_request *r, const char *id, int64_t size,
                    const char *head, delivery_ready_fn ready, void *ctx)
{
    struct delivery *d = mem_new(struct delivery);

    d->depot = depot;
    d->request = r;
    d->size = d->left = size;
    d->ready = ready;
    d->ctx = ctx;
    d->fd = -1;
    snprintf(d->id, sizeof d->id, "%s", id);
    buf_append(&d->lead, head, strlen(head) - 1); /* without the brace at its end */
    buf_append_str(&d->lead, DATA);
    read_next(d);
}
