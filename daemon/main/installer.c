#include "main/installer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/daemon.h"
#include "main/policy.h"
#include "main/stocker.h"
#include "main/switchboard.h"
#include "main/unpacker.h"
#include "sandbox/unpack.h"
#include "task/mcp.h"
#include "task/rulebook.h"
#include "upstream/upstream.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/toml.h"
#include "util/utf8.h"
#include "workspace/shelf.h"

enum {
    DOWNLOAD_MS = 10 * 60 * 1000,
    RULE_MAX = 1 << 20,
    BOOK_MAX = 8 << 20, /* bytes of all rules */
    MANIFEST_PROBLEMS = 100,
};

/* What the stocker's next answer is about. */
enum phase { IDLE, BEGUN, RULE, SKILL_BEGUN, SKILL_FED, FORMS, FINISHED };

struct installer {
    struct daemon *daemon;
    struct shelf *shelf;
    struct stocker *stocker;
    struct unpacker *unpacker;
    struct switchboard *switchboard;
    installer_fn fn;
    void *ctx;
    bool tired, insist;
    enum phase phase;
    struct provision_files files;
    size_t at;                  /* the file that is being seen to */
    struct upstream_call *call; /* in flight, or NULL */
    struct buf download;        /* what came of it */
    struct mcp *mcp;
    struct buf book; /* all rules as one text, for programs that take no files of them */
    size_t form;     /* what of forms[] comes next */
    struct manifest manifest;
    char *again; /* why another attempt is due, although what is there may be in force */
    uint32_t retry_after_ms;
    struct err unpacking; /* of the process */
};

static void step(struct installer *i);

/* ---- the end of it ---- */

static void clear(struct installer *i)
{
    if (i->call)
        upstream_cancel(i->call);
    i->call = NULL;
    switchboard_cancel(i->switchboard);
    buf_done(&i->download);
    provision_files_done(&i->files);
    mcp_free(i->mcp);
    i->mcp = NULL;
    buf_done(&i->book);
    manifest_done(&i->manifest);
    free(i->again);
    i->again = NULL;
}

static void finish(struct installer *i, const struct installer_result *result)
{
    struct strv used = { 0 };

    i->phase = IDLE;
    shelf_used(i->shelf, &used);
    stocker_sweep(i->stocker, &used);
    i->fn(result, i->ctx);
    clear(i);
}

static void fail(struct installer *i, const char *error, uint32_t retry_after_ms)
{
    AUTO_FREE char *copy = mem_strdup(error);

    finish(i, &(struct installer_result){ .error = copy, .retry_after_ms = retry_after_ms });
}

static const struct provision_file *current(const struct installer *i)
{
    return &i->files.items[i->at];
}

static void add_problem(struct installer *i, const char *text)
{
    log_warning("artifact_bad", "text", text);
    if (i->manifest.problems.len < MANIFEST_PROBLEMS)
        strv_add(&i->manifest.problems, text);
}

static void next(struct installer *i)
{
    i->at++;
    step(i);
}

/* This one alone is bad. */
static void leave_out(struct installer *i, const char *why)
{
    const struct provision_file *f = current(i);
    AUTO_FREE char *text = mem_printf("%s '%s' (%s) is left out: %s", provision_kind_name(f->kind),
                                      f->title, f->name, why);

    add_problem(i, text);
    next(i);
}

/* Where it is no artifact's fault. Whether the rest is to go on without what this is about. */
static bool goes_on_without(struct installer *i, const char *why, uint32_t retry_after_ms)
{
    if (!i->insist) {
        fail(i, why, retry_after_ms);
        return false;
    }
    if (!i->again)
        i->again = mem_strdup(why);
    i->retry_after_ms = retry_after_ms;
    return true;
}

/* With the name of the artifact; to be freed. */
static char *about_current(const struct installer *i, const char *why)
{
    const struct provision_file *f = current(i);

    return mem_printf("%s '%s': %s", provision_kind_name(f->kind), f->title, why);
}

static void put_off(struct installer *i, const char *why, uint32_t retry_after_ms)
{
    AUTO_FREE char *text = about_current(i, why);

    if (goes_on_without(i, text, retry_after_ms))
        leave_out(i, why);
}

/* ---- MCP servers ---- */

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

bool installer_read(struct installer *i, struct manifest *ret_manifest)
{
    struct shelf_set *set = shelf_hold(i->shelf);
    bool found = set && manifest_read(&i->daemon->settings, ret_manifest) == 0;

    if (found)
        mask_secrets_of(i, set);
    shelf_release(i->shelf, set);
    return found;
}

static void on_gateway(const struct switchboard_answer *answer, void *ctx)
{
    struct installer *i = ctx;
    CLEANUP(strv_done) struct strv problems = { 0 };
    AUTO_FREE char *why = mem_strdup(answer->error);
    struct err err = { 0 };

    if (!why && mcp_add_gateway(i->mcp, i->manifest.gateway, answer->body, answer->len, &problems,
                                &err) < 0)
        why = mem_printf("the MCP gateway %s (runner.mcp_gateway) answers, but not with a list of "
                         "its servers: %s",
                         i->manifest.gateway, err.text);
    for (size_t k = 0; k < problems.len; k++)
        add_problem(i, problems.items[k]);
    if (!why)
        step(i);
    else if (goes_on_without(i, why, answer->retry_after_ms))
        step(i);
}

static void ask_gateway(struct installer *i)
{
    struct err err = { 0 };

    if (switchboard_ask(i->switchboard, i->manifest.gateway, on_gateway, i, &err) < 0)
        fail(i, err.text, 0);
}

static void add_mcp(struct installer *i, const char *bytes, size_t len)
{
    struct err err = { 0 };

    int r = mcp_add(i->mcp, bytes, len, &err);

    if (r == -ENOMEM)
        put_off(i, err.text, 0);
    else if (r < 0)
        leave_out(i, err.text);
    else
        next(i);
}

/* ---- the last steps ---- */

static void write_manifest(struct installer *i)
{
    AUTO_FREE char *text = manifest_print(&i->manifest, &i->daemon->settings);

    i->phase = FINISHED;
    stocker_finish(i->stocker, text);
}

static char *print_common(const struct installer *i)
{
    return i->manifest.mcp_servers > 0 ? mcp_print(i->mcp) : NULL;
}

static char *print_opencode(const struct installer *i)
{
    return i->manifest.mcp_servers > 0 ? mcp_print_opencode(i->mcp) : NULL;
}

static char *print_codex(const struct installer *i)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE char *servers = mcp_print_codex(i->mcp);

    if (i->book.len == 0 && i->manifest.mcp_servers == 0)
        return NULL;
    if (i->book.len > 0) {
        buf_append_str(&b, "developer_instructions = ");
        toml_add_string(&b, buf_str(&i->book));
        buf_append_char(&b, '\n');
    }
    buf_append_str(&b, servers);
    return buf_steal(&b);
}

/* What programs read in one file, in the form of each; NULL: there is nothing to read. */
static const struct {
    enum shelf_part part;
    char *(*print)(const struct installer *i);
} forms[] = {
    { SHELF_MCP, print_common },
    { SHELF_MCP_OPENCODE, print_opencode },
    { SHELF_MCP_CODEX, print_codex },
};

static void write_forms(struct installer *i)
{
    while (i->form < ARRAY_SIZE(forms)) {
        enum shelf_part part = forms[i->form].part;
        AUTO_FREE char *text = forms[i->form++].print(i);

        if (!text)
            continue;
        i->phase = FORMS;
        stocker_add(i->stocker, part, shelf_part_name(part), NULL, text, strlen(text));
        return;
    }
    write_manifest(i);
}

static void complete(struct installer *i)
{
    i->manifest.mcp_servers = mcp_len(i->mcp);
    mcp_places(i->mcp, &i->manifest.mcp_places);
    mcp_each_secret(i->mcp, mask_value, i->daemon->mask);
    i->form = 0;
    write_forms(i);
}

static void put_in_force(struct installer *i)
{
    stocker_switch(i->stocker, i->shelf);
    finish(i, &(struct installer_result){ .ok = true,
                                          .error = i->again,
                                          .retry_after_ms = i->retry_after_ms,
                                          .manifest = &i->manifest });
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

static void on_crate(const char *bytes, size_t len, void *ctx)
{
    struct installer *i = ctx;

    stocker_feed(i->stocker, bytes, len);
}

static void on_unpacked(const struct err *why, void *ctx)
{
    struct installer *i = ctx;

    i->unpacking = *why;
    i->phase = SKILL_FED;
    stocker_end_skill(i->stocker);
}

/* Of the machine, which another attempt may find in a better state; no archive causes them. */
static bool is_the_machines(int code)
{
    return code == -ENOSPC || code == -EDQUOT || code == -EIO || code == -EMFILE ||
           code == -ENFILE || code == -ENOMEM || code == -EROFS || code == -ENOEXEC;
}

static void end_skill(struct installer *i, const struct err *err)
{
    /* where its own words don't say what is wrong, the end of its process does */
    const struct err *why = err->code == -ENODATA && i->unpacking.code < 0 ? &i->unpacking : err;
    struct err copy = *why;

    if (err->code == 0) {
        i->manifest.skills++;
        next(i);
    } else if (is_the_machines(copy.code) || (copy.code == -EAGAIN && !i->tired)) {
        put_off(i, copy.text, 0);
    } else {
        leave_out(i, copy.text);
    }
}

/* ---- one after the other ---- */

static void on_stocked(const struct err *err, void *ctx)
{
    struct installer *i = ctx;
    enum phase phase = i->phase;

    if (phase == SKILL_FED) {
        end_skill(i, err);
        return;
    }
    if (err->code < 0) {
        fail(i, err->text, 0);
        return;
    }
    switch (phase) {
    case BEGUN:
        if (i->manifest.gateway)
            ask_gateway(i);
        else
            step(i);
        break;
    case RULE:
        i->manifest.rules++;
        next(i);
        break;
    case SKILL_BEGUN: {
        CLEANUP(buf_done) struct buf archive = i->download;

        i->download = (struct buf){ 0 };
        unpacker_start(i->unpacker, buf_str(&archive), archive.len);
        break;
    }
    case FORMS:
        write_forms(i);
        break;
    case FINISHED:
        put_in_force(i);
        break;
    case SKILL_FED:
    case IDLE:
        break;
    }
}

static void on_spoiled(void *ctx)
{
    struct installer *i = ctx;

    unpacker_stop(i->unpacker);
}

static size_t largest(enum provision_kind kind)
{
    return kind == PROVISION_SKILL ? UNPACK_ARCHIVE_MAX
           : kind == PROVISION_MCP ? MCP_FILE_MAX
                                   : RULE_MAX;
}

static void add_rule(struct installer *i)
{
    const char *text = buf_str(&i->download);

    /* the book is one text, which a zero byte would end */
    if (!utf8_is_valid(text, i->download.len) || strlen(text) != i->download.len) {
        leave_out(i, "it is no text in UTF-8");
        return;
    }
    if (i->book.len + i->download.len > BOOK_MAX) {
        leave_out(i, "with it there are more rules than programs can be given");
        return;
    }
    rulebook_add(&i->book, current(i)->name, text, i->download.len);
    i->phase = RULE;
    stocker_add(i->stocker, SHELF_RULES, current(i)->name, ".md", text, i->download.len);
}

static void take(struct installer *i)
{
    AUTO_FREE char *folder = NULL;

    switch (current(i)->kind) {
    case PROVISION_RULE:
        add_rule(i);
        break;
    case PROVISION_MCP:
        add_mcp(i, buf_str(&i->download), i->download.len);
        break;
    case PROVISION_SKILL:
        folder = folder_of(current(i)->name);
        i->phase = SKILL_BEGUN;
        stocker_begin_skill(i->stocker, folder);
        break;
    case PROVISION_KIND_COUNT:
        break;
    }
}

static void on_download(const struct upstream_answer *answer, void *ctx)
{
    struct installer *i = ctx;
    AUTO_FREE char *text = about_current(i, answer->text);

    i->call = NULL;
    if (answer->verdict == UPSTREAM_OK)
        take(i);
    else if (answer->verdict == UPSTREAM_REFUSED || answer->verdict == UPSTREAM_TOO_LARGE)
        leave_out(i, answer->text);
    else if (answer->verdict == UPSTREAM_FAILED) /* the server's own fault, maybe this file's */
        put_off(i, answer->text, answer->retry_after_ms);
    else
        fail(i, text, answer->retry_after_ms);
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

    buf_done(&i->download);
    while (i->at < i->files.len && i->manifest.gateway && current(i)->kind == PROVISION_MCP)
        i->at++; /* the gateway's are used in their place */
    if (i->at == i->files.len)
        complete(i);
    else
        i->call = upstream_download(i->daemon->upstream, current(i)->attachment_id,
                                    largest(current(i)->kind), DOWNLOAD_MS, &sink, on_download, i);
}

void installer_start(struct installer *i, struct provision_files *files, bool tired, bool insist,
                     installer_fn fn, void *ctx)
{
    i->files = *files;
    *files = (struct provision_files){ 0 };
    i->fn = fn;
    i->ctx = ctx;
    i->tired = tired;
    i->insist = insist;
    i->at = 0;
    i->retry_after_ms = 0;
    i->mcp = mcp_new();
    i->manifest.gateway = mem_strdup(policy_gateway(&i->daemon->settings));
    for (size_t k = 0; k < i->files.problems.len; k++)
        add_problem(i, i->files.problems.items[k]);
    i->phase = BEGUN;
    stocker_begin(i->stocker);
}

/* ---- the whole ---- */

int installer_new(struct daemon *d, struct shelf *shelf, struct installer **ret_installer,
                  struct err *err)
{
    static const struct stocker_ops stocker_ops = { .done = on_stocked, .spoiled = on_spoiled };
    static const struct unpacker_ops unpacker_ops = { .output = on_crate, .ended = on_unpacked };
    /* as root without mounts tasks open its files by their paths */
    bool crossed = geteuid() == 0 && d->ground.rung == PLAN_RUNG_BARE;
    struct installer *i = mem_new(struct installer);
    int r;

    i->daemon = d;
    i->shelf = shelf;
    i->unpacker = unpacker_new(d, &unpacker_ops, i);
    i->switchboard = switchboard_new(d->loop, &d->settings);
    r = stocker_new(d->loop, d->settings.state_dir, crossed, &stocker_ops, i, &i->stocker, err);
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
    stocker_free(i->stocker); /* what is being written counts at the next start */
    clear(i);
    unpacker_free(i->unpacker);
    switchboard_free(i->switchboard);
    free(i);
}

void installer_output(struct installer *i, const char *bytes, size_t len)
{
    unpacker_output(i->unpacker, bytes, len);
}

void installer_exited(struct installer *i, const struct spawner_exit *e)
{
    unpacker_exited(i->unpacker, e);
}
