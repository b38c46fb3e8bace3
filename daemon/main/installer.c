#include "main/installer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/worker.h"
#include "main/daemon.h"
#include "sandbox/plan_unpack.h"
#include "sandbox/unpack.h"
#include "task/crate.h"
#include "task/mcp.h"
#include "upstream/upstream.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"
#include "workspace/shelf.h"

/* The one task number of an archive's; a survey's have the bit above. */
static const uint64_t unpack_bit = UINT64_C(1) << 62;

enum {
    UNPACK_MS = 60 * 1000,
    DOWNLOAD_MS = 10 * 60 * 1000,
    RULE_MAX = 1 << 20,
    SET_BYTES_MAX = 256 << 20, /* of all artifacts together, as they lie on the disk */
    SET_FILES_MAX = 5000,
    SWEEP_ENTRIES = 5000,
    MANIFEST_PROBLEMS = 100,
    NAME_MAX_SHOWN = 100,
};

struct installer {
    struct daemon *daemon;
    struct shelf *shelf;
    struct worker *worker;
    struct loop_timer *patience; /* with an archive */
    installer_fn fn;
    void *ctx;
    bool busy, insist;
    struct provision_files files;
    size_t at;                  /* the file that is being seen to */
    struct upstream_call *call; /* in flight, or NULL */
    struct buf download;        /* what came of it */
    struct mcp *mcp;
    struct installer_summary summary;
    struct crate crate;
    char *skill; /* the folder that is being filled */
    int fd;      /* of its file */
    bool too_long;
    uint64_t bytes;
    size_t count;
    struct err failure; /* the skill's */
    char *manifest;
    struct err finish_err;
};

static void step(struct installer *i);

/* ---- the end of it ---- */

static void clear(struct installer *i)
{
    if (i->call)
        upstream_cancel(i->call);
    i->call = NULL;
    buf_done(&i->download);
    provision_files_done(&i->files);
    mcp_free(i->mcp);
    i->mcp = NULL;
    installer_summary_done(&i->summary);
    crate_done(&i->crate);
    free(i->skill);
    i->skill = NULL;
    if (i->fd >= 0)
        (void)close(i->fd); /* what it lacks, the crate said */
    i->fd = -1;
    free(i->manifest);
    i->manifest = NULL;
}

static void finish(struct installer *i, const struct installer_result *result)
{
    if (!result->ok)
        shelf_give_up(i->shelf);
    clear(i);
    i->busy = false;
    (void)shelf_sweep(i->shelf, SWEEP_ENTRIES); /* the rest goes another time */
    if (i->fn)
        i->fn(result, i->ctx);
}

static void fail(struct installer *i, const char *error, uint32_t retry_after_ms)
{
    AUTO_FREE char *copy = mem_strdup(error);

    finish(i, &(struct installer_result){ .error = copy, .retry_after_ms = retry_after_ms });
}

static struct provision_file *current(struct installer *i)
{
    return &i->files.items[i->at];
}

/* This one alone is bad. */
static void leave_out(struct installer *i, const char *why)
{
    const struct provision_file *f = current(i);
    AUTO_FREE char *text = mem_printf("%s '%s' (%s) is left out: %s", provision_kind_name(f->kind),
                                      f->title, f->name, why);

    log_warning("artifact_bad", "text", text);
    if (i->summary.problems.len < MANIFEST_PROBLEMS)
        strv_add(&i->summary.problems, text);
    i->at++;
    step(i);
}

static void next(struct installer *i)
{
    i->at++;
    step(i);
}

/* ---- the manifest ---- */

static struct json *list_of(const struct strv *v)
{
    struct json *list = json_array();

    for (size_t k = 0; k < v->len; k++)
        json_push_str(list, v->items[k]);
    return list;
}

static char *make_manifest(const struct installer *i)
{
    const struct installer_summary *s = &i->summary;
    CLEANUP_PTR(json_free) struct json *root = json_object();

    json_add_str(root, "server", i->daemon->settings.server_url);
    json_add_str(root, "agent", i->daemon->settings.agent_id);
    json_add_i64(root, "rules", (int64_t)s->rules);
    json_add_i64(root, "skills", (int64_t)s->skills);
    json_add_i64(root, "mcp_servers", (int64_t)s->mcp_servers);
    json_add(root, "mcp_places", list_of(&s->mcp_places));
    json_add(root, "problems", list_of(&s->problems));
    return json_print(root);
}

static void read_list(const struct json *root, const char *key, struct strv *ret)
{
    for (const struct json *n = json_first(json_get(root, key)); n; n = json_next(n))
        if (json_str(n))
            strv_add(ret, json_str(n));
}

static size_t read_count(const struct json *root, const char *key)
{
    uint64_t n = 0;

    return json_get_u64(root, key, &n) == 0 ? (size_t)n : 0;
}

/* Only of this server's set: another's rules are none of this one's. */
int installer_peek(const struct settings *s, struct installer_summary *ret_summary)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    AUTO_FREE char *text = NULL;

    if (shelf_manifest(s->state_dir, &text, NULL) < 0 ||
        json_parse(text, strlen(text), &root, NULL) < 0 ||
        !str_eq(json_get_str(root, "server"), s->server_url) ||
        !str_eq(json_get_str(root, "agent"), s->agent_id))
        return -ENOENT;
    *ret_summary = (struct installer_summary){ .rules = read_count(root, "rules"),
                                               .skills = read_count(root, "skills"),
                                               .mcp_servers = read_count(root, "mcp_servers") };
    read_list(root, "mcp_places", &ret_summary->mcp_places);
    read_list(root, "problems", &ret_summary->problems);
    return 0;
}

static void add_count(struct buf *b, size_t n, const char *what)
{
    buf_printf(b, "%s%zu %s%s", b->len > 0 ? ", " : "", n, what, n == 1 ? "" : "s");
}

void installer_describe(const struct installer_summary *s, struct buf *b)
{
    add_count(b, s->rules, "rule");
    add_count(b, s->skills, "skill");
    add_count(b, s->mcp_servers, "MCP server");
}

void installer_summary_done(struct installer_summary *s)
{
    strv_done(&s->mcp_places);
    strv_done(&s->problems);
    *s = (struct installer_summary){ 0 };
}

static void mask_value(const char *value, void *ctx)
{
    (void)mask_add(ctx, value, strlen(value)); /* one too short to be masked is no secret */
}

static void mask_secrets_of(struct installer *i, const struct shelf_set *set)
{
    const char *path = shelf_path(set, SHELF_MCP);
    CLEANUP_PTR(mcp_free) struct mcp *mcp = mcp_new();
    CLEANUP(buf_done) struct buf b = { 0 };

    if (path && fd_read_file(path, MCP_FILE_MAX, &b, NULL) == 0 &&
        mcp_add(mcp, buf_str(&b), b.len, NULL) == 0)
        mcp_each_secret(mcp, mask_value, i->daemon->mask);
}

bool installer_read(struct installer *i, struct installer_summary *ret_summary)
{
    struct shelf_set *set = shelf_hold(i->shelf);
    bool found = set && installer_peek(&i->daemon->settings, ret_summary) == 0;

    if (found)
        mask_secrets_of(i, set);
    shelf_release(i->shelf, set);
    return found;
}

static void on_written(void *job, int result, void *ctx)
{
    struct installer *i = ctx;

    (void)job; /* there is one at a time */
    if (result < 0) {
        fail(i, i->finish_err.text, 0);
        return;
    }
    shelf_switch(i->shelf);
    finish(i, &(struct installer_result){ .ok = true });
}

/* In the worker's thread. */
static int write_set(void *ctx)
{
    (void)ctx;
    return 0;
}

static void write_job(void *job, void *ctx)
{
    struct installer *i = ctx;

    (void)job;
    i->finish_err = (struct err){ 0 };
    (void)shelf_finish(i->shelf, i->manifest, &i->finish_err); /* the next one passes it on */
}

static int write_end(int begin_result, void *ctx)
{
    const struct installer *i = ctx;

    return begin_result < 0 ? begin_result : i->finish_err.code;
}

static const struct worker_ops worker_ops = {
    .begin = write_set, .run = write_job, .end = write_end, .done = on_written
};

static void complete(struct installer *i)
{
    struct err err = { 0 };
    int r = 0;

    i->summary.mcp_servers = mcp_len(i->mcp);
    mcp_places(i->mcp, &i->summary.mcp_places);
    mcp_each_secret(i->mcp, mask_value, i->daemon->mask);
    if (i->summary.mcp_servers > 0) {
        AUTO_FREE char *text = mcp_print(i->mcp);

        r = shelf_add(i->shelf, SHELF_MCP, "mcp.json", text, strlen(text), &err);
    }
    if (r < 0) {
        fail(i, err.text, 0);
        return;
    }
    i->manifest = make_manifest(i);
    worker_give(i->worker, i);
}

/* ---- skills ---- */

/* Of an archive's name: without the extension, and without "-" and six characters at its end, which
 * the server puts there. Source: Nairi, provisioned artifacts. */
static char *folder_of(const char *name)
{
    static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const size_t suffix = 6;
    size_t len = (size_t)(strrchr(name, '.') - name); /* it has one: provision.h */

    if (len > suffix + 1 && name[len - suffix - 1] == '-' &&
        strspn(name + len - suffix, alnum) >= suffix)
        len -= suffix + 1;
    return mem_strndup(name, len);
}

/* A name that is there already gets -2, -3. extension: what stays at the end. */
static char *free_name(const struct installer *i, enum shelf_part part, const char *name,
                       const char *extension)
{
    size_t stem = strlen(name) - strlen(extension);
    char *fresh = mem_strdup(name);

    for (int n = 2; shelf_has(i->shelf, part, fresh); n++) {
        free(fresh);
        fresh = mem_printf("%.*s-%d%s", (int)stem, name, n, extension);
    }
    return fresh;
}

static int on_file(const char *path, bool is_program, void *ctx, struct err *err)
{
    struct installer *i = ctx;

    if (i->fd >= 0)
        (void)close(i->fd); /* written whole, or it would have said so */
    if (++i->count > SET_FILES_MAX)
        return i->fd = -1,
               err_set(err, -EMSGSIZE, "all artifacts have more than %d files", SET_FILES_MAX);
    i->fd = shelf_open_file(i->shelf, i->skill, path, is_program, err);
    return i->fd < 0 ? i->fd : 0;
}

static int on_piece(const void *bytes, size_t len, void *ctx, struct err *err)
{
    struct installer *i = ctx;
    int r;

    i->bytes += len;
    if (i->bytes > SET_BYTES_MAX)
        return err_set(err, -EMSGSIZE, "all artifacts are larger than %d MiB together",
                       SET_BYTES_MAX >> 20);
    r = fd_write_all(i->fd, bytes, len);
    return r < 0 ? err_set(err, r, "write a file of it: %s", strerror(-r)) : 0;
}

static const struct crate_ops crate_ops = { .file = on_file, .piece = on_piece };

bool installer_is_one(uint64_t task)
{
    return task == unpack_bit;
}

void installer_output(struct installer *i, const char *bytes, size_t len)
{
    if (i->skill && i->failure.code == 0 &&
        crate_feed(&i->crate, bytes, len, &crate_ops, i, &i->failure) < 0)
        spawner_kill(i->daemon->spawner, unpack_bit, 0);
}

static void on_patience(struct loop_timer *timer, void *ctx)
{
    struct installer *i = ctx;

    (void)timer; /* one-shot */
    i->too_long = true;
    spawner_kill(i->daemon->spawner, unpack_bit, 0);
}

static const char *failure_of(const struct installer *i, const struct spawner_exit *e)
{
    if (e->failed_to_start)
        return e->error;
    if (i->failure.code < 0)
        return i->failure.text;
    if (i->too_long)
        return "it takes too long to unpack";
    if (crate_is_whole(&i->crate))
        return NULL;
    return e->oom || e->limit != LIMIT_NONE || WIFSIGNALED(e->status)
               ? "it takes more than it may to unpack (memory, time)"
               : "it could not be unpacked";
}

/* Of the machine, which another attempt may find in a better state; no archive causes them. */
static bool is_the_machines(int code)
{
    return code == -ENOSPC || code == -EDQUOT || code == -EIO || code == -EMFILE ||
           code == -ENFILE || code == -ENOMEM || code == -EROFS;
}

void installer_exited(struct installer *i, const struct spawner_exit *e)
{
    bool is_bad = !is_the_machines(i->failure.code);
    AUTO_FREE char *why = NULL;

    if (!i->skill)
        return;
    loop_timer_stop(i->patience);
    why = mem_strdup(failure_of(i, e));
    if (i->fd >= 0)
        (void)close(i->fd); /* as above */
    i->fd = -1;
    crate_done(&i->crate);
    if (why)
        shelf_drop_skill(i->shelf, i->skill);
    else
        i->summary.skills++;
    free(i->skill);
    i->skill = NULL;
    if (why && is_bad)
        leave_out(i, why);
    else if (why)
        fail(i, why, 0);
    else
        next(i);
}

static void unpack(struct installer *i, const char *bytes, size_t len)
{
    struct daemon *d = i->daemon;
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    AUTO_FREE char *folder = folder_of(current(i)->name);
    uid_t uid = geteuid();
    struct err err = { 0 };

    if (plan_unpack_make(&d->ground, uid, uid == 0 ? plan_lone_uid(getpid()) : uid, &plan, &err) <
        0) {
        leave_out(i, err.text);
        return;
    }
    i->skill = free_name(i, SHELF_SKILLS, folder, "");
    i->failure = (struct err){ 0 };
    i->too_long = false;
    loop_timer_arm(i->patience, UNPACK_MS);
    spawner_start(d->spawner, unpack_bit, plan, -1, bytes, len);
}

/* ---- rules and MCP configs ---- */

static void add_rule(struct installer *i, const char *bytes, size_t len)
{
    AUTO_FREE char *name = free_name(i, SHELF_RULES, current(i)->name, ".md");
    struct err err = { 0 };

    i->bytes += len;
    if (!utf8_is_valid(bytes, len)) {
        leave_out(i, "it is no text in UTF-8");
        return;
    }
    if (shelf_add(i->shelf, SHELF_RULES, name, bytes, len, &err) < 0) {
        fail(i, err.text, 0);
        return;
    }
    i->summary.rules++;
    next(i);
}

static void add_mcp(struct installer *i, const char *bytes, size_t len)
{
    struct err err = { 0 };

    if (mcp_add(i->mcp, bytes, len, &err) < 0)
        leave_out(i, err.text);
    else
        next(i);
}

/* ---- one after the other ---- */

static size_t largest(enum provision_kind kind)
{
    return kind == PROVISION_SKILL ? UNPACK_ARCHIVE_MAX
           : kind == PROVISION_MCP ? MCP_FILE_MAX
                                   : RULE_MAX;
}

static void take(struct installer *i, const char *bytes, size_t len)
{
    switch (current(i)->kind) {
    case PROVISION_RULE:
        add_rule(i, bytes, len);
        break;
    case PROVISION_MCP:
        add_mcp(i, bytes, len);
        break;
    case PROVISION_SKILL:
        unpack(i, bytes, len);
        break;
    case PROVISION_KIND_COUNT:
        break;
    }
}

/* The server's own fault, maybe this file's alone; else that of the way to it. */
static bool is_bad_by_itself(const struct installer *i, enum upstream_verdict verdict)
{
    return verdict == UPSTREAM_REFUSED || verdict == UPSTREAM_TOO_LARGE ||
           (verdict == UPSTREAM_FAILED && i->insist);
}

static void on_download(const struct upstream_answer *answer, void *ctx)
{
    struct installer *i = ctx;
    const struct provision_file *f = current(i);
    CLEANUP(buf_done) struct buf bytes = i->download;

    i->download = (struct buf){ 0 };
    i->call = NULL;
    if (answer->verdict == UPSTREAM_OK) {
        take(i, buf_str(&bytes), bytes.len);
    } else if (is_bad_by_itself(i, answer->verdict)) {
        leave_out(i, answer->text);
    } else {
        AUTO_FREE char *why = mem_printf("download %s '%s': %s", provision_kind_name(f->kind),
                                         f->title, answer->text);

        fail(i, why, answer->retry_after_ms);
    }
}

static bool has_room(size_t len, void *ctx)
{
    (void)len; /* the largest there may be is bounded */
    (void)ctx;
    return true;
}

static int on_bytes(const void *bytes, size_t len, void *ctx)
{
    struct installer *i = ctx;

    buf_append(&i->download, bytes, len);
    return 0;
}

static void step(struct installer *i)
{
    const struct upstream_sink sink = { .has_room = has_room, .take = on_bytes, .ctx = i };

    if (i->at == i->files.len)
        complete(i);
    else
        i->call = upstream_download(i->daemon->upstream, current(i)->attachment_id,
                                    largest(current(i)->kind), DOWNLOAD_MS, &sink, on_download, i);
}

void installer_start(struct installer *i, struct provision_files *files, bool insist,
                     installer_fn fn, void *ctx)
{
    struct err err = { 0 };

    i->files = *files;
    *files = (struct provision_files){ 0 };
    i->fn = fn;
    i->ctx = ctx;
    i->busy = true;
    i->insist = insist;
    i->at = 0;
    i->bytes = 0;
    i->count = 0;
    i->mcp = mcp_new();
    strv_copy(&i->summary.problems, &i->files.problems);
    for (size_t k = 0; k < i->files.problems.len; k++)
        log_warning("artifact_bad", "text", i->files.problems.items[k]);
    if (shelf_begin(i->shelf, &err) < 0)
        fail(i, err.text, 0);
    else
        step(i);
}

bool installer_is_busy(const struct installer *i)
{
    return i->busy;
}

int installer_new(struct daemon *d, struct shelf *shelf, struct installer **ret_installer,
                  struct err *err)
{
    struct installer *i = mem_new(struct installer);
    int r;

    i->daemon = d;
    i->shelf = shelf;
    i->fd = -1;
    i->patience = loop_timer_new(d->loop, on_patience, i);
    r = worker_new(d->loop, &worker_ops, i, 1, &i->worker, err);
    if (r < 0) {
        installer_free(i);
        return r;
    }
    *ret_installer = i;
    return 0;
}

void installer_free(struct installer *i)
{
    if (!i)
        return;
    i->fn = NULL; /* what is being written is written to its end, and counts at the next start */
    worker_free(i->worker);
    loop_timer_free(i->patience);
    clear(i);
    free(i);
}
