#include "runner/opencode_stream.h"

#include <stdlib.h>
#include <string.h>

#include "runner/lines.h"
#include "runner/opencode_words.h"
#include "runner/shown.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum {
    NODES_MAX = 256 * 1024, /* values in one line: what a long diff has, many times over */
    SESSIONS_MAX = 8,       /* that one run may have; more is noise */
    JUNK_MAX = 2000,
    WORD_MAX = 40,  /* of a name that a note has */
    DENIED_MAX = 4, /* tools that a note names */
};

struct runner_parser {
    struct lines lines;
    size_t reply_limit;
    enum settings_permissions permissions;
    char session[RUNNER_SESSION_MAX + 1]; /* as last reported */
    unsigned sessions;
    struct buf said;       /* in this step, to the user; at most reply_limit bytes */
    size_t dropped;        /* of it */
    struct buf junk;       /* what wasn't JSON */
    char reason[WORD_MAX]; /* why the last step ended; "" while it lasts */
    char denied[DENIED_MAX][WORD_MAX];
    size_t denied_count;
    char rejected[WORD_MAX]; /* the tool after whose refusal a run ends; "" none */
    double usd;
    struct usage usage; /* of all steps; the cost stands in usd */
    struct runner_result result;
};

/* A feed's line handler needs where to report to. */
struct feeding {
    struct runner_parser *parser;
    runner_event_fn fn;
    void *ctx;
};

struct runner_parser *opencode_stream_new(const struct settings *settings, const char *session)
{
    struct runner_parser *p = mem_new(struct runner_parser);
    const char *model = settings->runner_model ? strchr(settings->runner_model, '/') : NULL;

    (void)session; /* one that isn't there is never replaced by another */
    p->reply_limit = settings->task_reply_limit_bytes;
    p->permissions = settings->runner_permissions;
    usage_set_model(&p->usage, model ? model + 1 : NULL);
    return p;
}

void opencode_stream_free(struct runner_parser *p)
{
    if (!p)
        return;
    lines_done(&p->lines);
    buf_done(&p->said);
    buf_done(&p->junk);
    runner_result_done(&p->result);
    free(p);
}

/* ---- session ---- */

static void note_session(const struct feeding *f, const struct json *line)
{
    struct runner_parser *p = f->parser;
    const char *id = json_get_str(line, "sessionID");
    const struct runner_event ev = { .type = RUNNER_SESSION, .session = p->session };

    if (!runner_is_session(id) || str_eq(id, p->session) || p->sessions == SESSIONS_MAX)
        return;
    memcpy(p->session, id, strlen(id) + 1);
    p->sessions++;
    f->fn(&ev, f->ctx);
}

/* ---- progress ---- */

static void report_step(const struct feeding *f, const char *summary)
{
    CLEANUP(shown_done) struct shown s = { .progress = { .type = PROGRESS_STEP } };

    s.progress.summary = shown_text(&s, &s.summary, summary, SHOWN_SHORT_MAX);
    shown_report(&s, f->fn, f->ctx);
}

static void report_text(const struct feeding *f, const char *text)
{
    CLEANUP(shown_done) struct shown s = { .progress = { .type = PROGRESS_TEXT } };

    s.progress.text = shown_text(&s, &s.text, text, SHOWN_TEXT_MAX);
    if (s.progress.text)
        shown_report(&s, f->fn, f->ctx);
}

/* Of a tool whose state has no title: the one member of its input that says most. */
static const char *input_of(const struct json *input)
{
    static const char *const usual[] = { "filePath", "command",     "pattern", "query",
                                         "url",      "description", "name",    "tool" };

    for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
        const char *s = json_get_str(input, usual[i]);

        if (!str_is_empty(s))
            return s;
    }
    return NULL;
}

static void report_tool(const struct feeding *f, const struct json *part)
{
    CLEANUP(shown_done) struct shown s = { .progress = { .type = PROGRESS_TOOL_USE } };
    const struct json *state = json_get(part, "state");
    const char *title = json_get_str(state, "title"), *output = json_get_str(state, "output");
    const char *status = json_get_str(state, "status");

    s.progress.status = str_eq(status, "error") ? "error" : "completed"; /* it tells of no others */
    s.progress.tool = shown_text(&s, &s.tool, json_get_str(part, "tool"), SHOWN_ID_MAX);
    s.progress.input =
        shown_text(&s, &s.input, str_is_empty(title) ? input_of(json_get(state, "input")) : title,
                   SHOWN_SHORT_MAX);
    s.progress.output =
        shown_text(&s, &s.output, output ? output : json_get_str(state, "error"), SHOWN_TEXT_MAX);
    s.progress.tool_use_id = shown_text(&s, &s.id, json_get_str(part, "callID"), SHOWN_ID_MAX);
    shown_report(&s, f->fn, f->ctx);
}

/* ---- steps ---- */

static void begin_step(const struct feeding *f)
{
    struct runner_parser *p = f->parser;

    buf_clear(&p->said);
    p->dropped = 0;
    p->reason[0] = '\0';
    report_step(f, "Step started");
}

static void note_text(const struct feeding *f, const struct json *part)
{
    struct runner_parser *p = f->parser;
    const char *text = json_get_str(part, "text");
    size_t len = text ? strlen(text) : 0, keep;

    if (len == 0)
        return;
    report_text(f, text);
    if (p->said.len > 0 && p->said.len + 2 <= p->reply_limit)
        buf_append_str(&p->said, "\n\n");
    keep = utf8_cut(text, len, p->reply_limit - p->said.len);
    if (p->dropped > 0) /* no gap in what is kept */
        keep = 0;
    utf8_clean(&p->said, text, keep);
    p->dropped += len - keep;
}

static void note_denied(struct runner_parser *p, const char *tool)
{
    char word[WORD_MAX];

    (void)utf8_line(word, sizeof word, tool);
    for (size_t i = 0; i < p->denied_count; i++)
        if (str_eq(p->denied[i], word))
            return;
    if (p->denied_count < DENIED_MAX && word[0])
        memcpy(p->denied[p->denied_count++], word, sizeof word);
}

/* Its own texts for what a rule forbids, and for what nobody could be asked for. */
static void note_tool(const struct feeding *f, const struct json *part)
{
    struct runner_parser *p = f->parser;
    const char *error = json_get_str(json_get(part, "state"), "error");
    const char *tool = json_get_str(part, "tool");

    report_tool(f, part);
    if (!error || !tool)
        return;
    if (strstr(error, "specified a rule which prevents you"))
        note_denied(p, tool);
    else if (strstr(error, "rejected permission"))
        (void)utf8_line(p->rejected, sizeof p->rejected, tool);
}

static void add_tokens(const struct json *tokens, const char *name, uint64_t *sum)
{
    uint64_t n = 0;

    (void)json_get_u64(tokens, name, &n); /* absent: 0 */
    if (__builtin_add_overflow(*sum, n, sum))
        *sum = UINT64_MAX;
}

static void add_usage(struct runner_parser *p, const struct json *part)
{
    const struct json *tokens = json_get(part, "tokens"), *cache = json_get(tokens, "cache");
    double usd = 0;

    add_tokens(tokens, "input", &p->usage.input_tokens);
    add_tokens(tokens, "output", &p->usage.output_tokens);
    add_tokens(tokens, "reasoning", &p->usage.output_tokens); /* is paid for as such */
    add_tokens(cache, "read", &p->usage.cache_read_tokens);
    add_tokens(cache, "write", &p->usage.cache_write_tokens);
    (void)json_get_double(part, "cost", &usd); /* absent: 0 */
    p->usd += usd > 0 && usd < 1e9 ? usd : 0;
    p->usage.cost_nano_usd = usage_nano(p->usd);
}

/* ---- the end ---- */

/* In the answer, as the model may not know why. */
static void append_denials(const struct runner_parser *p, struct buf *b)
{
    if (p->denied_count == 0)
        return;
    buf_append_str(b, "\n\n[OpenCode was not allowed to do all that it wanted (");
    for (size_t i = 0; i < p->denied_count; i++)
        buf_printf(b, "%s%s", i > 0 ? ", " : "", p->denied[i]);
    buf_printf(b, ")%s]", p->permissions == SETTINGS_EDITS ? "; runner.permissions is edits" : "");
}

/* Takes over what the result holds. The first one is told: from then on nothing that runs matters;
 * but what is said still counts, should there be more. */
static void conclude(const struct feeding *f, struct runner_result *result)
{
    struct runner_parser *p = f->parser;
    const struct runner_event ev = { .type = RUNNER_FINAL };
    bool first = !p->result.final;

    runner_result_done(&p->result);
    p->result = *result;
    if (first)
        f->fn(&ev, f->ctx);
}

static void end_step(const struct feeding *f, const struct json *part)
{
    struct runner_parser *p = f->parser;
    const char *reason = json_get_str(part, "reason");
    AUTO_FREE char *told = NULL;
    struct runner_result result = { .ok = true, .final = true, .dropped_bytes = p->dropped };

    (void)utf8_line(p->reason, sizeof p->reason, reason ? reason : "unknown");
    add_usage(p, part);
    told = mem_printf("Step completed (reason: %s)", p->reason);
    report_step(f, reason ? told : "Step completed");
    if (!str_eq(p->reason, "stop"))
        return;
    if (p->dropped == 0)
        append_denials(p, &p->said);
    result.text = buf_steal(&p->said);
    p->dropped = 0;
    conclude(f, &result);
}

/* A failure that comes after an answer is that of being ended: it changes nothing. After one of too
 * much to read the program shortens the conversation and goes on. */
static void note_error(const struct feeding *f, const struct json *line)
{
    struct runner_parser *p = f->parser;
    const struct json *error = json_get(line, "error"), *data = json_get(error, "data");
    const char *message = json_get_str(data, "message"), *body = json_get_str(data, "responseBody");
    CLEANUP(buf_done) struct buf words = { 0 };
    struct words_failure failure = { .kind = json_get_str(error, "name") };
    struct runner_result result = { .final = true };

    if (p->result.ok)
        return;
    (void)json_get_i64(data, "statusCode", &failure.status); /* absent: no answer in HTTP */
    if (str_is_empty(message))
        message = body ? body : failure.kind;
    if (message)
        utf8_clean(&words, message, utf8_cut(message, strlen(message), JUNK_MAX));
    failure.words = buf_str(&words);
    result.error = opencode_words(&failure);
    if (str_eq(failure.kind, "ContextOverflowError")) {
        free(p->result.error);
        p->result.error = result.error;
        return;
    }
    conclude(f, &result);
}

/* ---- lines ---- */

static void on_line(const char *bytes, size_t len, void *ctx)
{
    const struct feeding *f = ctx;
    CLEANUP_PTR(json_free) struct json *line = NULL;
    const struct json *part;
    const char *type;

    if (bytes[0] != '{' || json_parse_light(bytes, len, NODES_MAX, &line, NULL) < 0) {
        lines_keep(&f->parser->junk, bytes, len, JUNK_MAX);
        return;
    }
    note_session(f, line);
    type = json_get_str(line, "type");
    part = json_get(line, "part");
    if (str_eq(type, "step_start"))
        begin_step(f);
    else if (str_eq(type, "text"))
        note_text(f, part);
    else if (str_eq(type, "reasoning"))
        report_step(f, "Reasoning...");
    else if (str_eq(type, "tool_use"))
        note_tool(f, part);
    else if (str_eq(type, "step_finish"))
        end_step(f, part);
    else if (str_eq(type, "error"))
        note_error(f, line);
}

void opencode_stream_feed(struct runner_parser *p, const char *bytes, size_t len,
                          runner_event_fn fn, void *ctx)
{
    struct feeding f = { .parser = p, .fn = fn, .ctx = ctx };

    lines_feed(&p->lines, bytes, len, on_line, &f);
}

static void ignore(const struct runner_event *ev, void *ctx)
{
    (void)ev;
    (void)ctx; /* it is over: nobody is told of progress any more */
}

/* What was said so far is no answer: it is shown as last words, if nothing better is there. */
static void end_without_answer(struct runner_parser *p, const struct runner_exit *end)
{
    struct runner_result *result = &p->result;

    result->text = buf_steal(p->junk.len > 0 ? &p->junk : &p->said);
    if (result->error)
        return;
    result->error = opencode_words_stderr(end->stderr_tail, &result->session_gone);
    if (!result->error && end->ok) /* or else what ended it says more */
        result->error = opencode_words_unfinished(p->reason, p->rejected[0] ? p->rejected : NULL,
                                                  end->stderr_tail);
}

void opencode_stream_finish(struct runner_parser *p, const struct runner_exit *end,
                            struct runner_result *ret_result)
{
    struct feeding f = { .parser = p, .fn = ignore };
    struct runner_result *result = &p->result;

    lines_end(&p->lines, on_line, &f); /* a line may lack its newline */
    if (!result->final)
        end_without_answer(p, end);
    result->has_usage = result->final && usage_is_something(&p->usage);
    if (result->has_usage)
        result->usage = p->usage;
    *ret_result = *result;
    *result = (struct runner_result){ 0 };
}
