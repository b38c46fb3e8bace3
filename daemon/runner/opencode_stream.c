#include "runner/opencode_stream.h"

#include <stdlib.h>
#include <string.h>

#include "runner/denied.h"
#include "runner/opencode_words.h"
#include "runner/printout.h"
#include "runner/shown.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum { WORD_MAX = 40 }; /* of a name that is shown, with its NUL */

/* What was said counts by steps: out.said is that of one, of at most the reply's limit. */
struct runner_parser {
    struct printout out;
    enum settings_permissions permissions;
    size_t dropped;        /* bytes of what was said in this step */
    char reason[WORD_MAX]; /* why the last step ended; "" while it lasts */
    struct denied denied;
    char rejected[WORD_MAX]; /* the tool after whose refusal a run ends; "" none */
    double usd;
    struct usage usage; /* of all steps; the cost stands in usd */
};

static void on_line(const struct json *line, void *parser);

struct runner_parser *opencode_stream_new(const struct settings *settings, const char *session)
{
    struct runner_parser *p = mem_new(struct runner_parser);
    const char *model = settings->runner_model ? strchr(settings->runner_model, '/') : NULL;

    (void)session; /* one that isn't there is never replaced by another */
    printout_init(&p->out, settings, on_line, p);
    p->permissions = settings->runner_permissions;
    usage_set_model(&p->usage, model ? model + 1 : NULL);
    return p;
}

void opencode_stream_free(struct runner_parser *p)
{
    if (!p)
        return;
    printout_done(&p->out);
    free(p);
}

/* ---- progress ---- */

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

static void report_tool(struct runner_parser *p, const struct json *part)
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
    shown_report(&s, p->out.fn, p->out.ctx);
}

/* ---- steps ---- */

static void begin_step(struct runner_parser *p)
{

    buf_clear(&p->out.said);
    p->dropped = 0;
    p->reason[0] = '\0';
    shown_step("Step started", NULL, p->out.fn, p->out.ctx);
}

static void note_text(struct runner_parser *p, const struct json *part)
{
    const char *text = json_get_str(part, "text");
    size_t len = text ? strlen(text) : 0, keep;

    if (len == 0)
        return;
    shown_say(text, NULL, p->out.fn, p->out.ctx);
    if (p->out.said.len > 0 && p->out.said.len + 2 <= p->out.reply_limit)
        buf_append_str(&p->out.said, "\n\n");
    keep = utf8_cut(text, len, p->out.reply_limit - p->out.said.len);
    if (p->dropped > 0) /* no gap in what is kept */
        keep = 0;
    utf8_clean(&p->out.said, text, keep);
    p->dropped += len - keep;
}

/* Its own texts for what a rule forbids, and for what nobody could be asked for. */
static void note_tool(struct runner_parser *p, const struct json *part)
{
    const char *error = json_get_str(json_get(part, "state"), "error");
    const char *tool = json_get_str(part, "tool");

    report_tool(p, part);
    if (!error || !tool)
        return;
    if (strstr(error, "specified a rule which prevents you"))
        denied_add(&p->denied, tool);
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

static void end_step(struct runner_parser *p, const struct json *part)
{
    const char *reason = json_get_str(part, "reason");
    AUTO_FREE char *told = NULL;
    struct runner_result result = { .ok = true, .dropped_bytes = p->dropped };

    (void)utf8_line(p->reason, sizeof p->reason, reason ? reason : "unknown");
    add_usage(p, part);
    told = mem_printf("Step completed (reason: %s)", p->reason);
    shown_step(reason ? told : "Step completed", NULL, p->out.fn, p->out.ctx);
    if (!str_eq(p->reason, "stop"))
        return;
    if (p->dropped == 0)
        denied_append(&p->denied, "OpenCode", p->permissions, &p->out.said);
    result.text = buf_steal(&p->out.said);
    p->dropped = 0;
    printout_conclude(&p->out, &result);
}

/* A failure that comes after an answer is that of being ended: it changes nothing. After one of too
 * much to read the program shortens the conversation and goes on. */
static void note_error(struct runner_parser *p, const struct json *line)
{
    const struct json *error = json_get(line, "error"), *data = json_get(error, "data");
    const char *message = json_get_str(data, "message"), *body = json_get_str(data, "responseBody");
    CLEANUP(buf_done) struct buf words = { 0 };
    struct words_failure failure = { .kind = json_get_str(error, "name") };
    struct runner_result result = { 0 };

    if (p->out.result.ok)
        return;
    (void)json_get_i64(data, "statusCode", &failure.status); /* absent: no answer in HTTP */
    if (str_is_empty(message))
        message = body ? body : failure.kind;
    if (message)
        utf8_clean(&words, message, utf8_cut(message, strlen(message), PRINTOUT_JUNK_MAX));
    failure.words = buf_str(&words);
    result.error = opencode_words(&failure);
    if (str_eq(failure.kind, "ContextOverflowError")) {
        free(p->out.result.error);
        p->out.result.error = result.error;
        return;
    }
    printout_conclude(&p->out, &result);
}

/* ---- lines ---- */

static void on_line(const struct json *line, void *parser)
{
    struct runner_parser *p = parser;
    const struct json *part = json_get(line, "part");
    const char *type = json_get_str(line, "type");

    printout_session(&p->out, json_get_str(line, "sessionID"));
    if (str_eq(type, "step_start"))
        begin_step(p);
    else if (str_eq(type, "text"))
        note_text(p, part);
    else if (str_eq(type, "reasoning"))
        shown_step("Reasoning...", NULL, p->out.fn, p->out.ctx);
    else if (str_eq(type, "tool_use"))
        note_tool(p, part);
    else if (str_eq(type, "step_finish"))
        end_step(p, part);
    else if (str_eq(type, "error"))
        note_error(p, line);
}

void opencode_stream_feed(struct runner_parser *p, const char *bytes, size_t len,
                          runner_event_fn fn, void *ctx)
{
    printout_feed(&p->out, bytes, len, fn, ctx);
}

static void end_without_answer(struct runner_parser *p, const struct runner_exit *end)
{
    struct runner_result *result = &p->out.result;

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
    struct runner_result *result = &p->out.result;

    if (!printout_end(&p->out))
        end_without_answer(p, end);
    result->has_usage = result->final && usage_is_something(&p->usage);
    if (result->has_usage)
        result->usage = p->usage;
    printout_take(&p->out, ret_result);
}
