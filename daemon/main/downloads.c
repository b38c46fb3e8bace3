#include "main/downloads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"
#include "core/remedy.h"
#include "loop/loop.h"
#include "main/daemon.h"
#include "main/landing.h"
#include "main/wire.h"
#include "util/backoff.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "workspace/enclosed.h"
#include "workspace/workspace.h"

enum {
    AT_A_TIME = 4,       /* of all messages together */
    MESSAGE_FACTOR = 10, /* all files of a message together, in attachments.max */
    PATIENCE_FACTOR = 5, /* how long a server may fail at one file, in server.request_timeout */
    RETRY_MS = 1000,
    RETRY_MAX_MS = 30 * 1000,
    KEY_REFUSALS_MAX = 3, /* the poll meets the same and knows what it means; a new key may come */
};

enum file_state { FILE_WAITING, FILE_COMING, FILE_THERE };

struct file {
    struct delivery *delivery;
    size_t n;
    enum file_state state;
    struct landing *landing;  /* COMING: NULL between two tries */
    struct loop_timer *again; /* until the next one */
    struct backoff backoff;
    uint64_t failed_ms; /* since when it fails, 0: it doesn't */
    unsigned key_refusals;
    uint64_t bytes;
};

/* The files of one message. */
struct delivery {
    struct downloads *owner;
    struct delivery *prev, *next;
    uint64_t seq;
    uid_t uid;
    int folder_fd;
    char *shown; /* where the task finds the folder */
    struct attached attached;
    struct file *files; /* as many */
    uint64_t bytes, max_bytes, file_max_bytes;
    bool too_many;
};

struct downloads {
    struct daemon *daemon;
    struct landing_strip *landings;
    downloads_fn fn;
    void *ctx;
    struct delivery *first;
    size_t coming;
};

static void pump(struct downloads *w);

/* ---- the end of a delivery ---- */

static void stop_file(struct file *f)
{
    if (f->state == FILE_COMING)
        f->delivery->owner->coming--;
    if (f->landing)
        landing_cancel(f->landing);
    f->landing = NULL;
    f->state = FILE_WAITING;
    loop_timer_free(f->again);
    f->again = NULL;
}

static void delivery_free(struct delivery *d)
{
    if (d->prev)
        d->prev->next = d->next;
    else
        d->owner->first = d->next;
    if (d->next)
        d->next->prev = d->prev;
    for (size_t i = 0; i < d->attached.len; i++)
        stop_file(&d->files[i]);
    (void)close(d->folder_fd);
    free(d->files);
    free(d->shown);
    attached_done(&d->attached);
    free(d);
}

static void finish(struct delivery *d, const char *error)
{
    struct downloads *w = d->owner;

    for (size_t i = 0; i < d->attached.len; i++)
        stop_file(&d->files[i]);
    w->fn(d->seq, error ? NULL : &d->attached, error, w->ctx);
    delivery_free(d);
    pump(w);
}

/* ---- what became of a file ---- */

static const struct task *task_of(const struct delivery *d)
{
    return core_task(d->owner->daemon->core, d->seq);
}

static void log_file(const struct file *f, const struct landing_end *end, uint32_t wait_ms)
{
    const struct delivery *d = f->delivery;
    const struct task *t = task_of(d);
    const char *id = d->attached.items[f->n].id, *job = t ? t->job_id : NULL;

    if (end->verdict == UPSTREAM_OK)
        log_info("attachment_fetched", "job", job, "message", t ? t->id : NULL, "attachment", id,
                 "bytes", LOG_N(end->bytes), "name", end->name);
    else
        log_warning("attachment_not_fetched", "job", job, "message", t ? t->id : NULL, "attachment",
                    id, "error", end->text, "again_ms", LOG_N(wait_ms));
}

static void fail_too_large(struct delivery *d, const char *id)
{
    struct buf b = { 0 };
    char *text;

    if (d->too_many)
        buf_append_str(&b, "the attachments of the message are together larger than ");
    else
        buf_printf(&b, "the attachment %s is larger than ", id);
    remedy_size(&b, d->too_many ? d->max_bytes : d->file_max_bytes);
    buf_printf(&b,
               " (%sattachments.max): send %s, or have the operator of the machine raise that "
               "setting",
               d->too_many ? "ten times " : "", d->too_many ? "fewer or smaller files" : "less");
    text = buf_steal(&b);
    finish(d, text);
    free(text);
}

/* The last word on a file, and so on the message. */
static void fail(struct file *f, const struct landing_end *end)
{
    struct delivery *d = f->delivery;
    const char *id = d->attached.items[f->n].id;
    struct err err = { 0 };

    if (d->too_many || end->verdict == UPSTREAM_TOO_LARGE) {
        fail_too_large(d, id);
        return;
    }
    if (end->fault < 0)
        (void)err_set(&err, end->fault,
                      "the attachment %s could not be written to the disk: %s; the operator of the "
                      "machine can make room, then send the message again",
                      id, end->text);
    else if (end->verdict == UPSTREAM_REFUSED)
        (void)err_set(&err, -ENOENT,
                      "the attachment %s could not be fetched: %s; send the file again", id,
                      end->text);
    else
        (void)err_set(&err, -EIO,
                      "the attachment %s could not be fetched: %s; send the message again later",
                      id, end->text);
    finish(d, err.text);
}

static void note_path(struct file *f, const char *name, uint64_t bytes)
{
    struct delivery *d = f->delivery;

    f->state = FILE_THERE;
    f->bytes = bytes;
    d->attached.items[f->n].path = mem_printf("%s/%s", d->shown, name);
}

static bool is_whole(const struct delivery *d)
{
    for (size_t i = 0; i < d->attached.len; i++)
        if (d->files[i].state != FILE_THERE)
            return false;
    return true;
}

/* It is no silence of the program's, which hasn't begun. */
static void show_life(const struct delivery *d)
{
    const struct core_event ev = { .type = CORE_EV_OUTPUT, .seq = d->seq };

    wire_run(d->owner->daemon, &ev);
}

static int on_took(size_t len, void *ctx)
{
    struct file *f = ctx;
    struct delivery *d = f->delivery;

    d->too_many = d->too_many || d->bytes + len > d->max_bytes;
    if (d->too_many)
        return -EFBIG;
    d->bytes += len;
    f->bytes += len;
    return 0;
}

static void on_moved(void *ctx)
{
    const struct file *f = ctx;

    show_life(f->delivery);
}

static bool is_final(const struct file *f, const struct landing_end *end)
{
    return f->delivery->too_many || end->fault < 0 || end->verdict == UPSTREAM_REFUSED ||
           end->verdict == UPSTREAM_TOO_LARGE ||
           (end->verdict == UPSTREAM_KEY_REFUSED && f->key_refusals >= KEY_REFUSALS_MAX);
}

/* How long a server may go on failing so. Nairi's agents API says "not here" in JSON, which is
 * final; whatever else says so may be a proxy whose server is just being started again. */
static uint64_t patience_ms(const struct daemon *d, const struct landing_end *end)
{
    bool missing = end->status == 404 || end->status == 410;

    return (missing ? 1 : PATIENCE_FACTOR) * (uint64_t)d->settings.server_request_timeout_ms;
}

static void on_ended(const struct landing_end *end, void *ctx)
{
    struct file *f = ctx;
    struct delivery *d = f->delivery;
    const struct daemon *daemon = d->owner->daemon;
    uint64_t now_ms = loop_now_ms(daemon->loop);
    uint32_t wait_ms = backoff_next(&f->backoff, random_u32(), end->retry_after_ms);

    f->landing = NULL;
    f->key_refusals += end->verdict == UPSTREAM_KEY_REFUSED;
    if (end->verdict == UPSTREAM_OK) {
        log_file(f, end, 0);
        d->owner->coming--;
        note_path(f, end->name, end->bytes);
        if (is_whole(d))
            finish(d, NULL);
        else
            pump(d->owner);
        return;
    }
    d->bytes -= f->bytes;
    f->bytes = 0;
    if (f->failed_ms == 0)
        f->failed_ms = now_ms;
    if (is_final(f, end) || now_ms + wait_ms > f->failed_ms + patience_ms(daemon, end)) {
        fail(f, end);
        return;
    }
    log_file(f, end, wait_ms);
    show_life(d);
    loop_timer_arm(f->again, wait_ms);
}

static const struct landing_ops landing_ops = { .took = on_took,
                                                .moved = on_moved,
                                                .ended = on_ended };

/* ---- the way of a file ---- */

static void begin(struct file *f)
{
    struct delivery *d = f->delivery;
    struct downloads *w = d->owner;
    const struct landing_wish wish = {
        .id = d->attached.items[f->n].id,
        .max_bytes = d->file_max_bytes,
        .timeout_ms = w->daemon->settings.task_timeout_ms,
        .folder_fd = d->folder_fd,
        .n = f->n,
        .uid = d->uid,
    };
    struct landing_end end = { .verdict = UPSTREAM_FAILED };
    struct err err = { 0 };

    f->landing = landing_start(w->landings, &wish, &landing_ops, f, &end.fault, &err);
    if (f->landing)
        return;
    end.text = err.text;
    fail(f, &end);
}

static void on_again(struct loop_timer *timer, void *ctx)
{
    (void)timer; /* of the file, which is being begun */
    begin(ctx);
}

/* The next file of a message that may come now; NULL: none. */
static struct file *next_file(const struct downloads *w)
{
    for (const struct delivery *d = w->first; d && w->coming < AT_A_TIME; d = d->next)
        for (size_t i = 0; i < d->attached.len; i++)
            if (d->files[i].state == FILE_WAITING)
                return &d->files[i];
    return NULL;
}

static void pump(struct downloads *w)
{
    struct file *f;

    while ((f = next_file(w)) != NULL) {
        f->state = FILE_COMING;
        w->coming++;
        f->again = loop_timer_new(w->daemon->loop, on_again, f);
        loop_timer_arm(f->again, 0); /* not from within what another file's end is told by */
    }
}

/* ---- the beginning of a delivery ---- */

static int open_folder(struct delivery *d, const struct task *t, struct err *err)
{
    const struct daemon *daemon = d->owner->daemon;
    const struct settings *s = &daemon->settings;
    AUTO_FREE char *workspace = NULL, *home = NULL, *top = NULL;
    char folder[ENCLOSED_FOLDER_MAX];
    int r = workspace_open(s->workspace_root, t->job_id, daemon->tenants, &d->uid, &workspace,
                           &home, err);

    if (r == 0)
        r = enclosed_open(s->workspace_root, t->job_id, t->id, d->uid, err);
    if (r < 0)
        return r;
    d->folder_fd = r;
    if (daemon->ground.rung == PLAN_RUNG_BARE)
        top = enclosed_path(s->workspace_root, t->job_id);
    d->shown = mem_printf("%s/%s", top ? top : PLAN_ATTACHMENTS, enclosed_folder(folder, t->id));
    return 0;
}

/* What an earlier attempt has fetched is there. */
static void find_files(struct delivery *d)
{
    d->files = mem_calloc(d->attached.len, sizeof d->files[0]);
    for (size_t i = 0; i < d->attached.len; i++) {
        struct file *f = &d->files[i];
        char name[ENCLOSED_NAME_MAX];
        size_t bytes;

        *f = (struct file){ .delivery = d, .n = i };
        (void)backoff_init(&f->backoff, RETRY_MS, RETRY_MAX_MS); /* constants in range */
        if (!enclosed_find(d->folder_fd, i, name, &bytes))
            continue;
        note_path(f, name, bytes);
        d->bytes += bytes;
    }
}

int downloads_start(struct downloads *w, const struct task *t, struct attached *attached,
                    struct err *err)
{
    struct delivery *d = mem_new(struct delivery);
    int r;

    d->owner = w;
    d->seq = t->seq;
    d->uid = geteuid();
    d->attached = *attached;
    d->file_max_bytes = w->daemon->settings.attachments_max_bytes;
    d->max_bytes = MESSAGE_FACTOR * d->file_max_bytes;
    *attached = (struct attached){ 0 };
    r = open_folder(d, t, err);
    if (r < 0) {
        attached_done(&d->attached);
        free(d);
        return r;
    }
    d->next = w->first;
    if (d->next)
        d->next->prev = d;
    w->first = d;
    find_files(d);
    if (is_whole(d))
        finish(d, NULL);
    else
        pump(w);
    return 0;
}

bool downloads_cancel(struct downloads *w, uint64_t seq)
{
    for (struct delivery *d = w->first; d; d = d->next)
        if (d->seq == seq) {
            delivery_free(d);
            pump(w);
            return true;
        }
    return false;
}

/* ---- all ---- */

struct downloads *downloads_new(struct daemon *d, downloads_fn fn, void *ctx)
{
    struct downloads *w = mem_new(struct downloads);

    *w = (struct downloads){
        .daemon = d, .landings = landing_strip_new(d->loop, d->upstream), .fn = fn, .ctx = ctx
    };
    return w;
}

void downloads_free(struct downloads *w)
{
    if (!w)
        return;
    while (w->first)
        delivery_free(w->first);
    landing_strip_free(w->landings);
    free(w);
}
