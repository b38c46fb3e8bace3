#include "support/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/utf8.h"

enum { FIXTURE_MAX = 1 << 20, SHOWN_MAX = 200 };

/* ---- one event as a line ---- */

static void add_text(struct buf *b, const char *label, const char *s)
{
    size_t len, keep;

    if (!s)
        return;
    len = strlen(s);
    assert_true(utf8_is_valid(s, len));
    keep = utf8_cut(s, len, SHOWN_MAX);
    buf_printf(b, " %s=\"", label);
    for (size_t i = 0; i < keep; i++) {
        if (s[i] == '\n')
            buf_append_str(b, "\\n");
        else
            buf_append_char(b, s[i]);
    }
    buf_append_char(b, '"');
    if (keep < len)
        buf_printf(b, "+%zu", len - keep);
}

static void note(const struct runner_event *ev, void *ctx)
{
    struct stream_run *run = ctx;
    const struct progress *p = ev->progress;

    if (ev->type == RUNNER_SESSION) {
        buf_printf(&run->events, "session %s\n", ev->session);
        return;
    }
    if (ev->type == RUNNER_FINAL) {
        buf_append_str(&run->events, "final\n");
        run->finals++;
        return;
    }
    assert_int_equal(ev->type, RUNNER_PROGRESS);
    buf_append_str(&run->events, progress_type_name(p->type));
    add_text(&run->events, "status", p->status);
    add_text(&run->events, "tool", p->tool);
    add_text(&run->events, "input", p->input);
    add_text(&run->events, "text", p->text);
    add_text(&run->events, "output", p->output);
    add_text(&run->events, "summary", p->summary);
    add_text(&run->events, "id", p->tool_use_id);
    add_text(&run->events, "parent", p->parent_tool_use_id);
    buf_append_str(&run->events, ev->cut ? " cut\n" : "\n");
}

static void add_result(struct buf *b, const struct runner_result *r)
{
    const struct usage *u = &r->usage;

    buf_printf(b, "result %s%s%s", r->ok ? "ok" : "failed", r->final ? " final" : "",
               r->session_gone ? " session-gone" : "");
    add_text(b, "text", r->text);
    if (r->dropped_bytes > 0)
        buf_printf(b, " dropped=%zu", r->dropped_bytes);
    buf_append_char(b, '\n');
    if (r->error)
        buf_printf(b, "error %s\n", r->error);
    if (r->has_usage)
        buf_printf(b, "usage in=%llu out=%llu read=%llu write=%llu nano-usd=%llu model=%s\n",
                   (unsigned long long)u->input_tokens, (unsigned long long)u->output_tokens,
                   (unsigned long long)u->cache_read_tokens,
                   (unsigned long long)u->cache_write_tokens, (unsigned long long)u->cost_nano_usd,
                   u->model);
}

/* ---- running one ---- */

struct settings stream_settings(void)
{
    return (struct settings){ .task_output_limit_bytes = 1 << 20,
                              .task_reply_limit_bytes = 256 << 10 };
}

void stream_run_done(struct stream_run *run)
{
    buf_done(&run->events);
    runner_result_done(&run->result);
}

void stream_run_bytes(const struct stream *s, struct stream_run *run,
                      const struct stream_fixture *f, size_t len, size_t piece,
                      const struct settings *settings)
{
    struct runner_parser *p = s->runner->parser_new(settings, s->session);
    const struct runner_exit end = { .ok = f->exit_ok && len == f->out.len,
                                     .stderr_tail = buf_str(&f->errors) };

    *run = (struct stream_run){ 0 };
    for (size_t at = 0; at < len; at += piece)
        s->runner->feed(p, f->out.data + at, len - at < piece ? len - at : piece, note, run);
    s->runner->finish(p, &end, &run->result);
    s->runner->parser_free(p);
}

static void read_fixture(const struct stream *s, const char *name, struct stream_fixture *f)
{
    AUTO_FREE char *out = mem_printf("%s/%s.stdout.ndjson", s->fixtures, name),
                   *errors = mem_printf("%s/%s.stderr", s->fixtures, name),
                   *code = mem_printf("%s/%s.exit", s->fixtures, name);
    CLEANUP(buf_done) struct buf text = { 0 }, raw = { 0 };

    *f = (struct stream_fixture){ .name = mem_strdup(name) };
    assert_int_equal(fd_read_file(out, FIXTURE_MAX, &f->out, NULL), 0);
    assert_int_equal(fd_read_file(errors, FIXTURE_MAX, &raw, NULL), 0);
    utf8_clean(&f->errors, buf_str(&raw), raw.len); /* as capture.h gives it */
    assert_int_equal(fd_read_file(code, FIXTURE_MAX, &text, NULL), 0);
    f->exit_ok = strcmp(buf_str(&text), "0\n") == 0;
}

void stream_fixture_done(struct stream_fixture *f)
{
    free(f->name);
    buf_done(&f->out);
    buf_done(&f->errors);
}

typedef void (*fixture_fn)(const struct stream *s, const struct stream_fixture *f);

static void each_fixture(const struct stream *s, fixture_fn fn)
{
    static const char suffix[] = ".stdout.ndjson";
    struct dirent **entries = NULL;
    int count = scandir(s->fixtures, &entries, NULL, alphasort);
    unsigned found = 0;

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name, *dot = strstr(name, suffix);

        if (dot && dot[sizeof suffix - 1] == '\0') {
            AUTO_FREE char *base = mem_strndup(name, (size_t)(dot - name));
            CLEANUP(stream_fixture_done) struct stream_fixture f = { 0 };

            read_fixture(s, base, &f);
            fn(s, &f);
            found++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(found >= s->fixtures_at_least);
}

/* ---- what each recording gives ---- */

static void compare(const struct stream *s, const struct stream_fixture *f)
{
    const struct settings settings = stream_settings();
    AUTO_FREE char *path = mem_printf("%s/%s.events", s->fixtures, f->name);
    CLEANUP(stream_run_done) struct stream_run run;
    CLEANUP(buf_done) struct buf want = { 0 };

    stream_run_bytes(s, &run, f, f->out.len, f->out.len + 1, &settings);
    add_result(&run.events, &run.result);
    if (getenv("NAIRID_WRITE_EVENTS")) {
        assert_int_equal(fd_write_file(path, run.events.data, run.events.len, 0644, NULL), 0);
        return;
    }
    assert_int_equal(fd_read_file(path, FIXTURE_MAX, &want, NULL), 0);
    if (strcmp(buf_str(&want), buf_str(&run.events)) != 0)
        fail_msg("%s gives\n%s\ninstead of\n%s", f->name, buf_str(&run.events), buf_str(&want));
}

void stream_gives_the_events_of_each_recording(void **state)
{
    each_fixture(*state, compare);
}

/* ---- however it is cut ---- */

static void compare_pieces(const struct stream *s, const struct stream_fixture *f)
{
    static const size_t pieces[] = { 1, 7, 4096 };
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run whole;

    stream_run_bytes(s, &whole, f, f->out.len, f->out.len + 1, &settings);
    add_result(&whole.events, &whole.result);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        CLEANUP(stream_run_done) struct stream_run run;

        stream_run_bytes(s, &run, f, f->out.len, pieces[i], &settings);
        add_result(&run.events, &run.result);
        assert_string_equal(buf_str(&run.events), buf_str(&whole.events));
    }
}

void stream_gives_the_same_in_pieces_of_any_size(void **state)
{
    each_fixture(*state, compare_pieces);
}

/* The events of a beginning are the beginning of the events, and it has no answer without its
 * result line. */
static void check_beginning(const struct stream *s, const struct stream_fixture *f,
                            const struct stream_run *whole, size_t len)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    stream_run_bytes(s, &run, f, len, len + 1, &settings);
    assert_int_equal(strncmp(buf_str(&run.events), buf_str(&whole->events), run.events.len), 0);
    if (run.finals == 0 && len < f->out.len - 1) { /* the last line may lack its newline only */
        assert_false(run.result.ok);
        assert_false(run.result.final);
        assert_false(run.result.has_usage);
    }
    if (run.result.text)
        assert_true(utf8_is_valid(run.result.text, strlen(run.result.text)));
    if (run.result.error)
        assert_true(utf8_is_valid(run.result.error, strlen(run.result.error)));
}

static void cut_everywhere(const struct stream *s, const struct stream_fixture *f)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run whole;
    const char *line = f->out.data, *end = f->out.data + f->out.len;

    stream_run_bytes(s, &whole, f, f->out.len, f->out.len + 1, &settings);
    while (line && line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t at = (size_t)(line - f->out.data), len = (size_t)((newline ? newline : end) - line);
        const size_t cuts[] = { 0, 1, len / 3, len / 2, len > 2 ? len - 2 : 0, len, len + 1 };

        for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
            if (at + cuts[i] <= f->out.len)
                check_beginning(s, f, &whole, at + cuts[i]);
        line = newline ? newline + 1 : NULL;
    }
}

void stream_ends_sanely_wherever_it_is_cut(void **state)
{
    each_fixture(*state, cut_everywhere);
}

void stream_run_text(const struct stream *s, struct stream_run *run, const char *text,
                     const struct settings *settings)
{
    struct stream_fixture f = { .exit_ok = true };

    buf_append_str(&f.out, text);
    stream_run_bytes(s, run, &f, f.out.len, f.out.len + 1, settings);
    stream_fixture_done(&f);
}
