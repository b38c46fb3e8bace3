/* What the parsers of nairid get, as the fuzz targets of their names take it. */
#include "fuzz/recording.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/ending.h"
#include "egress/clienthello.h"
#include "egress/head.h"
#include "egress/reply.h"
#include "main/args.h"
#include "main/clientenv.h"
#include "main/overview.h"
#include "main/terminal.h"
#include "main/transcript.h"
#include "net/http_date.h"
#include "net/peer.h"
#include "net/retry_after.h"
#include "runner/capture.h"
#include "runner/prompt.h"
#include "sandbox/apply.h"
#include "sandbox/plan.h"
#include "settings/allow.h"
#include "settings/document.h"
#include "settings/number.h"
#include "settings/profile.h"
#include "settings/url.h"
#include "settings/values.h"
#include "spawner/ipc.h"
#include "store/journal.h"
#include "store/record.h"
#include "task/leftover.h"
#include "task/planted.h"
#include "upstream/envelope.h"
#include "upstream/listing.h"
#include "upstream/parcel.h"
#include "upstream/push.h"
#include "upstream/verdict.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"
#include "workspace/treewipe.h"

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

enum { TREE_DEPTH = 8, TREE_STEPS = 250 };

static uint64_t key_of(const void *object)
{
    return (uint64_t)(uintptr_t)object;
}

/* ---- settings and command line ---- */

WRAP(int, allow_parse, const char *text, struct allow *ret_allow, struct err *err)
{
    recording_text("allow", text);
    return __real_allow_parse(text, ret_allow, err);
}

WRAP(int, document_parse, const char *name, const char *text, size_t len,
     struct document_node **ret_root, struct err *err)
{
    recording_put("settings", 0, text, len);
    return __real_document_parse(name, text, len, ret_root, err);
}

WRAP(int, number_parse, enum table_type type, const char *text, uint64_t *ret_n)
{
    recording_text("number", text);
    return __real_number_parse(type, text, ret_n);
}

WRAP(const char *, url_check, const char *url)
{
    recording_text("url", url);
    return __real_url_check(url);
}

WRAP(char *, url_normal, const char *url)
{
    recording_text("url", url);
    return __real_url_normal(url);
}

WRAP(int, peer_parse, const char *url, char peer[PEER_MAX])
{
    recording_text("url", url);
    return __real_peer_parse(url, peer);
}

WRAP(void, values_word, struct buf *b, const char *text)
{
    recording_text("word", text);
    __real_values_word(b, text);
}

/* Of the environment only what is read for the settings. */
static bool is_for_us(const char *entry)
{
    static const char *const prefixes[] = { "NAIR", "EKSEC", "XDG_", "HOME=", "STATE_DIRECTORY=",
                                            "http", "HTTP",  "ALL_", "all_",  "no_proxy=" };

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (str_starts_with(entry, prefixes[i]))
            return true;
    return false;
}

WRAP(bool, args_parse, const struct options_spec *spec, int argc, char **argv, struct args *values,
     struct options *ret_options, int *ret_exit)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    for (char **entry = environ; *entry; entry++)
        if (is_for_us(*entry))
            recording_field(&b, *entry, '\n');
    buf_append_char(&b, '\n');
    for (int i = 1; i < argc; i++)
        recording_field(&b, argv[i], '\n');
    recording_put("flags", 0, b.data, b.len);
    return __real_args_parse(spec, argc, argv, values, ret_options, ret_exit);
}

WRAP(int, clientenv_load, const char *dir, struct clientenv *ret_client, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/client.env", dir);

    recording_file("clientenv", path);
    return __real_clientenv_load(dir, ret_client, err);
}

/* ---- what a person sees ---- */

WRAP(void, overview_print, struct buf *b, const struct json *status, uint64_t now_mono_ms,
     size_t columns)
{
    CLEANUP(buf_done) struct buf note = { 0 };
    AUTO_FREE char *text = json_print(status);

    recording_number(&note, columns < UINT8_MAX ? columns : UINT8_MAX, 1);
    recording_number(&note, now_mono_ms, 4);
    buf_append_str(&note, text);
    recording_put("overview", 0, note.data, note.len);
    __real_overview_print(b, status, now_mono_ms, columns);
}

static void note_terminal(const char *s, size_t len, size_t columns)
{
    CLEANUP(buf_done) struct buf note = { 0 };

    recording_number(&note, columns < UINT8_MAX ? columns : UINT8_MAX, 1);
    buf_append(&note, s, len);
    recording_put("terminal", 0, note.data, note.len);
}

WRAP(void, terminal_clean, struct buf *b, const char *s, size_t len)
{
    note_terminal(s, len, 80);
    __real_terminal_clean(b, s, len);
}

WRAP(void, terminal_fit, struct buf *b, const char *s, size_t columns)
{
    note_terminal(s, strlen(s), columns);
    __real_terminal_fit(b, s, columns);
}

WRAP(void, transcript_read, const struct json *list, const char *message_id,
     struct transcript *ret_transcript)
{
    CLEANUP(buf_done) struct buf note = { 0 };
    AUTO_FREE char *text = json_print(list);

    recording_field(&note, message_id, '\n');
    buf_append_str(&note, text);
    recording_put("transcript", 0, note.data, note.len);
    __real_transcript_read(list, message_id, ret_transcript);
}

/* ---- the control plane ---- */

WRAP(int, http_date_parse, const char *s, int64_t now_wall_ms, int64_t *ret_wall_ms)
{
    recording_text("retry_after", s);
    return __real_http_date_parse(s, now_wall_ms, ret_wall_ms);
}

WRAP(uint32_t, retry_after_parse, const char *value, int64_t server_now_ms)
{
    recording_text("retry_after", value);
    return __real_retry_after_parse(value, server_now_ms);
}

WRAP(int, listing_parse, const char *body, size_t len, struct listing *ret_listing, struct err *err)
{
    recording_put("listing", 0, body, len);
    return __real_listing_parse(body, len, ret_listing, err);
}

WRAP(void, push_parse, const char *text, size_t len, struct push *ret_push)
{
    recording_put("push", 0, text, len);
    __real_push_parse(text, len, ret_push);
}

/* Small ones come in one piece. */
WRAP(int, parcel_feed, struct parcel *p, const char *s, size_t len, struct err *err)
{
    CLEANUP(buf_done) struct buf note = { 0 };

    recording_number(&note, len / 2, 1);
    buf_append(&note, s, len);
    recording_put("parcel", 0, note.data, note.len);
    return __real_parcel_feed(p, s, len, err);
}

WRAP(void, verdict_judge, const struct verdict_facts *facts, struct verdict *ret_verdict)
{
    CLEANUP(buf_done) struct buf note = { 0 };

    recording_number(&note, facts->request, 1);
    recording_number(&note, facts->outcome, 1);
    recording_number(&note, (uint64_t)facts->status, 2);
    recording_number(&note, facts->retry_after_ms, 4);
    recording_field(&note, facts->content_type, '\n');
    buf_append(&note, facts->body, facts->body_len);
    recording_put("verdict", 0, note.data, note.len);
    __real_verdict_judge(facts, ret_verdict);
}

WRAP(char *, prompt_text, const struct task *task, const struct attached *attached, bool begins)
{
    recording_text("prompt", task->payload);
    return __real_prompt_text(task, attached, begins);
}

static void note_envelope(unsigned kind, uint32_t attempt, const char *job_id, const char *task_id,
                          const char *text)
{
    CLEANUP(buf_done) struct buf note = { 0 };

    recording_number(&note, kind, 1);
    recording_number(&note, attempt, 4);
    recording_field(&note, job_id, '\n');
    recording_field(&note, task_id, '\n');
    buf_append_str(&note, text ? text : "");
    recording_put("envelope", 0, note.data, note.len);
}

WRAP(char *, envelope_reply, const char *job_id, const char *task_id, enum task_reply_kind kind,
     const char *text, const struct usage *usage, const char *attachment_ids)
{
    note_envelope(kind == TASK_REPLY_ERROR, 1, job_id, task_id, text);
    return __real_envelope_reply(job_id, task_id, kind, text, usage, attachment_ids);
}

WRAP(char *, envelope_progress, const char *job_id, const char *task_id, uint32_t attempt,
     uint32_t n, const struct progress *p)
{
    note_envelope(p->type == PROGRESS_TEXT ? 2 : 3, attempt, job_id, task_id,
                  p->text ? p->text : p->input);
    return __real_envelope_progress(job_id, task_id, attempt, n, p);
}

/* ---- a task ---- */

WRAP(struct capture *, capture_new, const struct runner *runner, const struct settings *settings,
     const char *session)
{
    struct capture *c = __real_capture_new(runner, settings, session);

    recording_put("capture_new", key_of(c), runner->name, strlen(runner->name));
    return c;
}

WRAP(bool, capture_stdout, struct capture *c, const char *bytes, size_t len, runner_event_fn fn,
     void *ctx)
{
    recording_put("capture_stdout", key_of(c), bytes, len);
    return __real_capture_stdout(c, bytes, len, fn, ctx);
}

WRAP(bool, capture_stderr, struct capture *c, const char *bytes, size_t len)
{
    recording_put("capture_stderr", key_of(c), bytes, len);
    return __real_capture_stderr(c, bytes, len);
}

WRAP(void, capture_finish, struct capture *c, bool exit_ok, struct capture_result *ret_result)
{
    recording_put("capture_finish", key_of(c), exit_ok ? "\1" : "", 1);
    __real_capture_finish(c, exit_ok, ret_result);
}

WRAP(enum task_reply_kind, ending_reply, const struct ending *e, enum ending_stop stop, bool anew,
     const struct ending_limits *limits, char **ret_text)
{
    CLEANUP(buf_done) struct buf note = { 0 };
    unsigned flags = (unsigned)e->failed_to_start | (unsigned)e->not_found << 1 |
                     (unsigned)!str_is_empty(e->start_error) << 2 | (unsigned)e->stuck << 3 |
                     (unsigned)e->oom << 4 | (unsigned)e->ok << 5 |
                     (unsigned)(limits->memory_bytes > 0) << 6 | (unsigned)!e->text << 7;
    unsigned more =
        (unsigned)(e->error != NULL) | (unsigned)e->final << 1 | (unsigned)e->session_gone << 2;

    recording_number(&note, flags, 1);
    recording_number(&note, stop, 1);
    recording_number(&note, (uint64_t)e->status, 2);
    recording_number(&note, e->dropped_bytes, 2);
    recording_number(&note, more, 1);
    recording_number(&note, anew, 1);
    recording_number(&note, limits->timeout_ms, 4);
    recording_number(&note, limits->output_limit_bytes, 8);
    recording_field(&note, e->stderr_tail, '\0');
    buf_append_str(&note, e->text ? e->text : e->error ? e->error : "");
    recording_put("ending", 0, note.data, note.len);
    return __real_ending_reply(e, stop, anew, limits, ret_text);
}

static void add_lines(struct buf *b, const char *prefix, const struct strv *v)
{
    for (size_t i = 0; v && i < v->len; i++) {
        buf_append_str(b, prefix);
        recording_field(b, v->items[i], '\n');
    }
}

WRAP(int, plan_make, const struct plan_policy *policy, struct plan **ret_plan, struct err *err)
{
    CLEANUP(buf_done) struct buf note = { 0 };

    recording_number(&note,
                     (unsigned)(policy->network == PLAN_NETWORK_HOST) |
                         (unsigned)policy->workspace_read_only << 1 |
                         (unsigned)(policy->uid == 0) << 2,
                     1);
    recording_number(&note, policy->memory_bytes, 4);
    recording_number(&note, policy->task_uid, 1);
    recording_field(&note, policy->profile->name, '\n');
    recording_field(&note, policy->workspace, '\n');
    recording_field(&note, policy->home, '\n');
    add_lines(&note, "r", policy->read);
    add_lines(&note, "w", policy->write);
    add_lines(&note, "e", policy->env);
    add_lines(&note, "", policy->argv);
    recording_put("policy", 0, note.data, note.len);
    return __real_plan_make(policy, ret_plan, err);
}

WRAP(int, plan_take, char *bytes, size_t len, struct plan **ret_plan, struct err *err)
{
    recording_put("plan", 0, bytes, len);
    return __real_plan_take(bytes, len, ret_plan, err);
}

WRAP(int, ipc_read_news, const void *bytes, size_t len, struct ipc_news *ret_news)
{
    recording_put("ipc", 0, bytes, len);
    return __real_ipc_read_news(bytes, len, ret_news);
}

/* Reports of a sandbox's process 1: all of one sandbox are one input. */
WRAP(ssize_t, fd_recv, int sock, void *bytes, size_t size, int *fds, size_t nfds)
{
    ssize_t n = __real_fd_recv(sock, bytes, size, fds, nfds);

    if (size == sizeof(struct apply_report) && nfds == 1)
        recording_put("ward", (uint64_t)sock, bytes, n > 0 ? (size_t)n : 0);
    return n;
}

WRAP(enum clienthello_verdict, clienthello_read, const void *bytes, size_t len,
     struct hostname *ret_name)
{
    recording_put("clienthello", 0, bytes, len);
    return __real_clienthello_read(bytes, len, ret_name);
}

WRAP(ssize_t, head_find_end, const char *bytes, size_t len, size_t seen)
{
    recording_put("request_head", 0, bytes, len);
    return __real_head_find_end(bytes, len, seen);
}

/* Within a tunnel or to a broker; what the latter answers is below. */
WRAP(int, head_parse, const char *bytes, size_t len, bool in_tunnel, struct head *ret_head,
     const char **ret_why)
{
    if (in_tunnel)
        recording_put("claim", 0, bytes, len);
    return __real_head_parse(bytes, len, in_tunnel, ret_head, ret_why);
}

WRAP(ssize_t, reply_read, const char *bytes, size_t len, struct buf *out)
{
    recording_put("claim", 0, bytes, len);
    return __real_reply_read(bytes, len, out);
}

/* ---- what a task left behind ---- */

static void note_planted(const char *path, const char *target, const char *bytes, size_t len)
{
    CLEANUP(buf_done) struct buf note = { 0 };

    recording_field(&note, path, '\0');
    recording_field(&note, target, '\0');
    buf_append(&note, bytes, len);
    recording_put("planted", 0, note.data, note.len);
}

WRAP(const struct planted_row *, planted_find, const struct planted_place *place)
{
    note_planted(place->path, NULL, "", 0);
    return __real_planted_find(place);
}

WRAP(bool, planted_is_live, enum planted_look look, const char *path, const char *bytes, size_t len)
{
    note_planted(path, NULL, bytes, len);
    return __real_planted_is_live(look, path, bytes, len);
}

WRAP(bool, planted_leads_out, const char *path, const char *target)
{
    note_planted(path, target, "", 0);
    return __real_planted_leads_out(path, target);
}

WRAP(int, leftover_read, const void *bytes, size_t len, struct leftovers *ret)
{
    CLEANUP(buf_done) struct buf note = { 0 };

    recording_number(&note, 0, 2); /* none earlier */
    buf_append(&note, bytes, len);
    recording_put("leftover", 0, note.data, note.len);
    return __real_leftover_read(bytes, len, ret);
}

/* ---- what is on disk ---- */

WRAP(int, journal_open, const char *dir, int dir_fd, struct journal **ret_journal, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/journal.db", dir);

    recording_file("journal", path);
    return __real_journal_open(dir, dir_fd, ret_journal, err);
}

WRAP(int, record_read, sqlite3_stmt *stmt, struct task **ret_task, char why[RECORD_WHY_MAX])
{
    static const char types[] = { [SQLITE_INTEGER] = 'i',
                                  [SQLITE_FLOAT] = 'r',
                                  [SQLITE_TEXT] = 't',
                                  [SQLITE_BLOB] = 'b',
                                  [SQLITE_NULL] = 'n' };
    CLEANUP(buf_done) struct buf note = { 0 };

    for (int i = 0; i < sqlite3_column_count(stmt); i++) {
        buf_append_char(&note, types[sqlite3_column_type(stmt, i)]);
        recording_field(&note, (const char *)sqlite3_column_text(stmt, i), '\n');
    }
    recording_put("record", 0, note.data, note.len);
    return __real_record_read(stmt, ret_task, why);
}

/* As the steps that make such a tree. */
static void note_tree(struct buf *b, int parent, const char *name, size_t depth, size_t *left)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir)
        return;
    for (struct dirent *e; *left > 0 && (e = readdir(dir));) {
        char target[256];
        ssize_t n;

        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        --*left;
        if (e->d_type == DT_DIR && depth > 0) {
            buf_printf(b, "d%s\n", e->d_name);
            note_tree(b, fd, e->d_name, depth - 1, left);
            buf_append_str(b, "u\n");
        } else if (e->d_type == DT_LNK && (n = readlinkat(fd, e->d_name, target, 255)) > 0) {
            buf_printf(b, "l%s %.*s\n", e->d_name, (int)n, target);
        } else {
            buf_printf(b, "%c%s\n", e->d_type == DT_FIFO ? 'p' : 'f', e->d_name);
        }
    }
    (void)closedir(dir);
}

WRAP(int, treewipe, int parent_fd, const char *name, size_t *budget, struct err *err)
{
    CLEANUP(buf_done) struct buf note = { 0 };
    size_t left = TREE_STEPS;

    recording_number(&note, UINT8_MAX, 1);
    note_tree(&note, parent_fd, name, TREE_DEPTH, &left);
    recording_put("treewipe", 0, note.data, note.len);
    return __real_treewipe(parent_fd, name, budget, err);
}
