#include "main/uploads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "loop/loop.h"
#include "main/daemon.h"
#include "main/posts.h"
#include "main/wire.h"
#include "net/http.h"
#include "net/source.h"
#include "task/leftover.h"
#include "upstream/upstream.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "workspace/outgoing.h"

enum {
    NAME_MAX_BYTES = 128,
    NAMED_MAX = 12, /* of those that can't be sent, in one reply */
    SWEEP_SOON_MS = 1000
};

/* What was set aside for one reply. */
struct bundle {
    uint64_t seq;
    char *job_id;
    char *fault; /* it can't be had at all; NULL: it can */
    bool read;
    struct outgoing_list list;
    UT_hash_handle hh;
};

/* A file on its way. */
struct upload {
    struct uploads *owner;
    uint64_t seq;
    char *name; /* fit to be shown */
    uint64_t bytes;
    struct outgoing_turn turn; /* its file may be gone, with the bundle */
    struct source *source;
    struct upstream_call *call;
    struct upload *next, **place;
};

struct uploads {
    struct daemon *daemon;
    struct source_pool *sources;
    struct bundle *by_seq;
    struct upload *in_flight;
};

struct uploads *uploads_new(struct daemon *d)
{
    struct uploads *u = mem_new(struct uploads);

    u->daemon = d;
    u->sources = source_pool_new(d->loop);
    return u;
}

static void bundle_free(struct uploads *u, struct bundle *b)
{
    HASH_DEL(u->by_seq, b);
    outgoing_list_done(&b->list);
    free(b->fault);
    free(b->job_id);
    free(b);
}

static void upload_free(struct upload *upload)
{
    *upload->place = upload->next;
    if (upload->next)
        upload->next->place = upload->place;
    source_free(upload->source);
    free(upload->name);
    free(upload);
}

void uploads_free(struct uploads *u)
{
    struct bundle *b, *next;

    if (!u)
        return;
    while (u->in_flight)
        upload_free(u->in_flight);
    HASH_ITER (hh, u->by_seq, b, next)
        bundle_free(u, b);
    source_pool_free(u->sources);
    free(u);
}

static struct bundle *find(struct uploads *u, uint64_t seq)
{
    struct bundle *b = NULL;

    HASH_FIND(hh, u->by_seq, &seq, sizeof seq, b);
    return b;
}

/* ---- set aside, and removed ---- */

void uploads_gather(struct uploads *u, uint64_t seq)
{
    struct daemon *d = u->daemon;
    const struct task *t = core_task(d->core, seq);
    struct err err = { 0 };
    struct bundle *b;

    if (!t || t->unsent == 0 || find(u, seq))
        return; /* its lease was lost meanwhile */
    b = mem_new(struct bundle);
    b->seq = seq;
    b->job_id = mem_strdup(t->job_id);
    HASH_ADD(hh, u->by_seq, seq, sizeof b->seq, b);
    if (outgoing_gather(d->settings.workspace_root, t->job_id, seq, &err) == 0)
        return;
    log_warning("files_not_taken", "job", t->job_id, "message", t->id, "error", err.text);
    b->fault = mem_strdup(err.code == -ENOTDIR ? "it is no directory any more"
                                               : "nairid could not take what is in it");
}

void uploads_discard(struct uploads *u, uint64_t seq)
{
    struct daemon *d = u->daemon;
    struct bundle *b = find(u, seq);
    int r;

    if (!b)
        return; /* the job's next attempt finds what there is */
    r = outgoing_discard(d->settings.workspace_root, b->job_id, seq);
    if (r > 0)
        loop_timer_arm(d->sweep, SWEEP_SOON_MS);
    else if (r < 0) /* the job's next attempt removes them, or the sweep with the job */
        log_warning("sent_files_stay", "job", b->job_id, "error", strerror(-r));
    bundle_free(u, b);
}

/* ---- words ---- */

/* Masked before it is cut or quoted. */
static char *shown_name(const struct uploads *u, const char *name)
{
    AUTO_FREE char *masked = mask_text(u->daemon->mask, mem_strdup(name));
    struct buf b = { 0 };

    leftover_quote(masked, NAME_MAX_BYTES, &b);
    return buf_steal(&b);
}

/* In a header, between quotes, and for machines where a backslash leads into a directory. */
static char *sent_name(const char *shown)
{
    char *name = mem_strdup(shown);

    for (char *at = strpbrk(name, "\\\"/"); at; at = strpbrk(at, "\\\"/"))
        *at = '_';
    return name;
}

static void add_line(struct buf *words, const char *shown, const char *why)
{
    buf_printf(words, "%s- `%s`: %s", words->len > 0 ? "\n" : "", shown, why);
}

/* Whether what has no way is told now: with the file before which its turn came, or with the last
 * one. done: so many were dealt with before. */
static bool is_told(const struct outgoing_file *file, const struct outgoing_turn *turn,
                    uint32_t done)
{
    if (!file->why_not)
        return false;
    if (file->number == OUTGOING_NO_NUMBER)
        return !turn->more;
    return file->number >= done && (!turn->more || file->number < turn->number);
}

static void add_refused(const struct uploads *u, const struct bundle *b,
                        const struct outgoing_turn *turn, uint32_t done, struct buf *words)
{
    size_t count = 0;

    for (size_t i = 0; i < b->list.len; i++) {
        AUTO_FREE char *shown = NULL;

        if (!is_told(&b->list.files[i], turn, done) || count++ >= NAMED_MAX)
            continue;
        shown = shown_name(u, b->list.files[i].name);
        add_line(words, shown, b->list.files[i].why_not);
    }
    if (count > NAMED_MAX)
        buf_printf(words, "\n- %zu more of the kind", count - NAMED_MAX);
    if (b->list.cut && !turn->more)
        buf_printf(words, "%s- what else there is: the outbox holds more than %d entries",
                   words->len > 0 ? "\n" : "", OUTGOING_LOOK_MAX);
}

/* answer, why: NULL for none. */
static void tell(struct uploads *u, uint64_t seq, const struct upstream_answer *answer,
                 const char *shown, const char *why, const struct outgoing_turn *turn)
{
    const struct bundle *b = find(u, seq);
    const struct task *t = core_task(u->daemon->core, seq);
    uint32_t done = t && t->unsent > 0 ? t->unsent - 1 : 0;
    CLEANUP(buf_done) struct buf words = { 0 };
    AUTO_FREE char *note = NULL;
    struct core_event ev = { .type = CORE_EV_SENT,
                             .seq = seq,
                             .answer = answer ? posts_answer(answer) : CORE_ANSWER_OK,
                             .retry_after_ms = answer ? answer->retry_after_ms : 0,
                             .attachment_id = answer ? answer->attachment_id : NULL,
                             .passed = turn->more ? turn->number - done : 0,
                             .more = turn->more };

    if (why)
        add_line(&words, shown, why);
    if (b)
        add_refused(u, b, turn, done, &words);
    if (words.len > 0)
        ev.note = note = mask_text(u->daemon->mask, buf_steal(&words));
    wire_run(u->daemon, &ev);
}

/* ---- sent ---- */

static void on_ready(void *ctx)
{
    struct upload *upload = ctx;

    upstream_resume(upload->call);
}

static void on_uploaded(const struct upstream_answer *answer, void *ctx)
{
    struct upload *upload = ctx;
    struct uploads *u = upload->owner;
    const struct task *t = core_task(u->daemon->core, upload->seq);
    bool ok = answer->verdict == UPSTREAM_OK;

    if (ok)
        log_info("file_sent", "job", t ? t->job_id : NULL, "message", t ? t->id : NULL, "file",
                 upload->name, "bytes", LOG_N(upload->bytes), "attachment", answer->attachment_id);
    else
        log_warning("post_failed", "post", "upload", "job", t ? t->job_id : NULL, "message",
                    t ? t->id : NULL, "file", upload->name, "status",
                    LOG_N_IF(answer->status != 0, answer->status), "text", answer->text);
    source_free(upload->source);
    upload->source = NULL;
    tell(u, upload->seq, answer, upload->name, ok ? NULL : answer->text, &upload->turn);
    upload_free(upload);
}

static void start(struct uploads *u, const struct bundle *b, const struct outgoing_turn *turn,
                  uint64_t fence)
{
    struct daemon *d = u->daemon;
    const struct outgoing_file *file = turn->file;
    struct err err = { 0 };
    int fd = outgoing_open(d->settings.workspace_root, b->job_id, b->seq, file, &err);
    AUTO_FREE char *shown = shown_name(u, file->name), *name = sent_name(shown);
    struct http_form form = {
        .name = "file", .filename = name, .bytes = file->bytes, .source = source_read
    };
    struct upload *upload;

    if (fd < 0) {
        tell(u, b->seq, NULL, shown, err.text, turn);
        return;
    }
    upload = mem_new(struct upload);
    upload->owner = u;
    upload->seq = b->seq;
    upload->name = TAKE_PTR(shown);
    upload->bytes = file->bytes;
    upload->turn = *turn;
    upload->source = source_new(u->sources, fd, file->bytes, on_ready, upload);
    upload->next = u->in_flight;
    upload->place = &u->in_flight;
    if (upload->next)
        upload->next->place = &upload->next;
    u->in_flight = upload;
    form.source_ctx = upload->source;
    upload->call = upstream_upload(d->upstream, &form, fence, on_uploaded, upload);
}

void uploads_send(struct uploads *u, uint64_t seq, uint64_t fence)
{
    struct daemon *d = u->daemon;
    const struct task *t = core_task(d->core, seq);
    const struct core_event dropped = { .type = CORE_EV_SENT,
                                        .seq = seq,
                                        .answer = CORE_ANSWER_DROPPED };
    struct bundle *b = find(u, seq);
    struct outgoing_turn turn = { 0 };
    struct err err = { 0 };

    if (!t || !b || t->state != TASK_FINISHED || t->unsent == 0) {
        wire_run(d, &dropped); /* what it was about ended between the decision and now */
        return;
    }
    if (!b->fault && !b->read &&
        outgoing_read(d->settings.workspace_root, t->job_id, seq, d->settings.attachments_max_bytes,
                      &b->list, &err) < 0) {
        log_warning("files_not_read", "job", t->job_id, "message", t->id, "error", err.text);
        b->fault = mem_strdup("nairid could not read what is in it");
    }
    b->read = true;
    if (!b->fault)
        turn = outgoing_next(&b->list, t->unsent - 1);
    if (turn.file)
        start(u, b, &turn, fence);
    else
        tell(u, seq, NULL, OUTGOING_PLACE, b->fault, &turn);
}
