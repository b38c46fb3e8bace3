#include "core/ending.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/remedy.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

/* How each note of ending_add_note() begins: what it is given begins so after the bracket. */
static const char note_begin[] = "\n\n[nairid ";

enum {
    NOTE_MAX = 3 * 1024,
    NOTES_MAX = 2 * (NOTE_MAX + 4), /* of what the files may run, and of those that stay */
    CUT_WORDS_MAX = 120,            /* those of a cut, and what is around a note */
};
enum { TAIL_MAX = 2000, TAIL_LINES_MAX = 20, ERROR_MAX = 4000 };

const char *ending_signal_name(int signo, char buffer[16])
{
    const char *abbreviation = sigabbrev_np(signo);

    if (abbreviation)
        (void)snprintf(buffer, 16, "SIG%s", abbreviation);
    else
        (void)snprintf(buffer, 16, "signal %d", signo);
    return buffer;
}

/* How much of text is before the notes at its end, if there are some. */
static size_t length_without_notes(const char *text, size_t len)
{
    size_t from = len > NOTES_MAX ? len - NOTES_MAX : 0, rest = len;

    for (size_t i = len; i-- > from && text[rest - 1] == ']';)
        if (str_starts_with(text + i, note_begin) && i > 0)
            rest = i;
    return rest;
}

static char *cut(const char *text, size_t max, const char *why)
{
    size_t len = strlen(text), end = length_without_notes(text, len);
    size_t note = len - end < max ? len - end : 0, keep;
    struct buf b = { 0 };

    if (note == 0)
        end = len;
    keep = utf8_cut(text, end, max - note);
    buf_append(&b, text, keep);
    if (keep < end)
        buf_printf(&b, "\n\n[%zu more bytes are left out: %s]", end - keep, why);
    buf_append(&b, text + end, note);
    return buf_steal(&b);
}

char *ending_shorten(const char *text, size_t max, const char *why)
{
    return strlen(text) <= max ? mem_strdup(text) : cut(text, max, why);
}

char *ending_add_note(char *text, const char *note, uint64_t limit)
{
    AUTO_FREE char *owned = text, *shorter = NULL;
    size_t len, room, most = NOTE_MAX - strlen(note_begin);

    if (str_is_empty(note))
        return TAKE_PTR(owned);
    len = utf8_cut(note, strlen(note), limit / 4 < most ? (size_t)limit / 4 : most);
    room = len + CUT_WORDS_MAX;
    if (strlen(text) + len + strlen(note_begin) + 1 > limit && limit > 2 * room)
        shorter = ending_shorten(text, (size_t)limit - room, "the note below needs the place");
    return mem_printf("%s\n\n[%.*s]", shorter ? shorter : owned, (int)len, note);
}

/* Where the last lines of text begin: whole ones where there are several, and few enough to read
 * in a chat. */
static size_t tail_start(const char *text, size_t len)
{
    size_t from = utf8_tail(text, len, TAIL_MAX), start = len, lines = 0;
    const char *newline = from > 0 ? memchr(text + from, '\n', len - from) : NULL;

    if (newline && text[from - 1] != '\n')
        from = (size_t)(newline - text) + 1;
    while (start > from && (text[start - 1] != '\n' || ++lines < TAIL_LINES_MAX))
        start--;
    return start;
}

static bool is_blank(const char *s)
{
    return !s || s[strspn(s, " \t\r\n")] == '\0';
}

/* Up to the last character that shows. */
static size_t trimmed_length(const char *s)
{
    size_t len = strlen(s);

    while (len > 0 && strchr(" \t\r\n", s[len - 1]))
        len--;
    return len;
}

/* Whether words add nothing to said: they are in it, or are it, with a word around at most. */
static bool is_repetition(const char *words, size_t len, const char *said, size_t said_len)
{
    return memmem(said, said_len, words, len) ||
           (!memchr(words, '\n', len) && memmem(words, len, said, said_len));
}

/* The end of words, where it adds something to what is in b. */
static void append_words(struct buf *b, const char *words)
{
    size_t len, from;

    if (is_blank(words))
        return;
    len = trimmed_length(words);
    from = tail_start(words, len);
    if (is_repetition(words + from, len - from, b->data, b->len))
        return;
    if (!strchr(".!?", b->data[b->len - 1]))
        buf_append_char(b, '.');
    buf_append_str(b, " Its last words:\n");
    buf_append(b, words + from, len - from);
}

/* The end of what the program said about it: standard error, or else the error that the runner
 * read, or else what was printed. */
static void append_last_words(struct buf *b, const struct ending *e)
{
    if (!is_blank(e->stderr_tail))
        append_words(b, e->stderr_tail);
    else
        append_words(b, !is_blank(e->error) ? e->error : e->text);
}

static void describe_stop(struct buf *b, enum ending_stop stop, const struct ending_limits *limits)
{
    char span[32];

    switch (stop) {
    case ENDING_STOP_START:
        buf_printf(b,
                   "%s did not start in time and was ended; the operator of the machine can "
                   "run 'nairid check'",
                   limits->program);
        break;
    case ENDING_STOP_TIMEOUT:
        buf_printf(b, "%s ran longer than %s (task.timeout) and was ended", limits->program,
                   clock_span(span, limits->timeout_ms));
        break;
    case ENDING_STOP_IDLE:
        buf_printf(b, "%s printed nothing for %s (task.idle_timeout) and was ended",
                   limits->program, clock_span(span, limits->idle_timeout_ms));
        break;
    case ENDING_STOP_OUTPUT:
        buf_printf(b, "%s printed more than ", limits->program);
        remedy_size(b, limits->output_limit_bytes);
        buf_append_str(b, " (task.output_limit) and was ended");
        break;
    case ENDING_STOP_NONE:
    case ENDING_STOP_FINAL:
    case ENDING_STOP_CANCEL:
    case ENDING_STOP_SHUTDOWN:
    case ENDING_STOP_LEASE:
    case ENDING_STOP_COUNT:
        break;
    }
}

static void describe_start_failure(struct buf *b, const struct ending *e,
                                   const struct ending_limits *limits)
{
    const char *why = str_is_empty(e->start_error) ? "no reason known" : e->start_error;

    if (e->unfit)
        buf_append_str(b, why);
    else if (e->not_found)
        buf_printf(b,
                   "the program '%s' is missing in the sandbox or can't be executed (%s); the "
                   "operator of the machine can install it or change runner.argv",
                   limits->program, why);
    else
        buf_printf(b,
                   "the task could not be started: %s; the operator of the machine can run "
                   "'nairid check'",
                   why);
}

static void describe_status(struct buf *b, const struct ending *e,
                            const struct ending_limits *limits)
{
    char name[16];

    if (e->limit != LIMIT_NONE || e->oom) {
        buf_printf(b, "%s was ended%s because ", limits->program, e->oom ? " by the kernel" : "");
        remedy_limit(b, e->oom ? LIMIT_MEMORY : e->limit, limits);
        if (e->files_gone)
            buf_append_str(b, "; the files that it had made had to be removed");
    } else if (e->egress_lost) {
        buf_printf(b, "%s was ended because the process that serves its network had died",
                   limits->program);
    } else if (WIFSIGNALED(e->status)) {
        int signo = WTERMSIG(e->status);
        const char *meaning = sigdescr_np(signo);

        buf_printf(b, "%s was ended by %s", limits->program, ending_signal_name(signo, name));
        if (meaning)
            buf_printf(b, " (%s)", meaning);
    } else if (WEXITSTATUS(e->status) != 0) {
        buf_printf(b, "%s ended with exit status %d", limits->program, WEXITSTATUS(e->status));
    } else {
        buf_printf(b, "%s ended with exit status 0 but %s", limits->program,
                   e->ok ? "printed nothing to answer with" : "without an answer");
    }
}

static const char stuck_note[] =
    "\n\n[a process of this task could not be ended; the conversation can't go on here]";

static const char anew_note[] =
    "[the earlier conversation could not be found: the agent began anew and doesn't know what was "
    "said before]";

static char *success_text(const struct ending *e, bool anew, const struct ending_limits *limits)
{
    struct buf b = { 0 };

    if (anew) /* first, where a shortened reply has it still */
        buf_printf(&b, "%s\n\n", anew_note);
    buf_append_str(&b, e->text);
    if (e->dropped_bytes > 0) {
        buf_printf(&b, "\n\n[%llu more bytes of the answer are left out: task.reply_limit is ",
                   (unsigned long long)e->dropped_bytes);
        remedy_size(&b, limits->reply_limit_bytes);
        buf_append_char(&b, ']');
    }
    if (e->stuck)
        buf_append_str(&b, stuck_note);
    return buf_steal(&b);
}

/* Whether what the runner read decides: the program's own result does, however the program ended;
 * what it said short of one only if it was free to end by itself. */
static bool counts(const struct ending *e)
{
    return !e->failed_to_start &&
           (e->final || (!e->oom && e->limit == LIMIT_NONE && WIFEXITED(e->status)));
}

static bool is_answer(const struct ending *e)
{
    return counts(e) && e->ok && !is_blank(e->text) && (e->final || WEXITSTATUS(e->status) == 0);
}

/* The program's own end, where it is no answer. */
static void describe_end(struct buf *b, const struct ending *e, const struct ending_limits *limits)
{
    if (counts(e) && !e->ok && !is_blank(e->error))
        buf_append(b, e->error, utf8_cut(e->error, trimmed_length(e->error), ERROR_MAX));
    else if (e->final && !e->failed_to_start)
        buf_printf(b, "%s %s", limits->program,
                   e->ok ? "finished but wrote nothing to answer with"
                         : "failed and didn't say why");
    else
        describe_status(b, e, limits);
}

static char *failure_text(const struct ending *e, enum ending_stop stop, bool anew,
                          const struct ending_limits *limits)
{
    bool by_itself = stop == ENDING_STOP_NONE || stop == ENDING_STOP_FINAL;
    struct buf b = { 0 };

    if (by_itself && e->failed_to_start) {
        describe_start_failure(&b, e, limits);
    } else {
        if (by_itself)
            describe_end(&b, e, limits);
        else
            describe_stop(&b, stop, limits);
        append_last_words(&b, e);
        if (by_itself && e->limit == LIMIT_NONE && !e->oom)
            remedy_hint(&b, e, limits);
    }
    if (!str_is_empty(e->refused))
        buf_printf(&b, "\n\n[%s]", e->refused);
    if (anew)
        buf_printf(&b, "\n\n%s", anew_note);
    if (e->stuck)
        buf_append_str(&b, stuck_note);
    return buf_steal(&b);
}

enum task_reply_kind ending_reply(const struct ending *e, enum ending_stop stop, bool anew,
                                  const struct ending_limits *limits, char **ret_text)
{
    if (stop == ENDING_STOP_CANCEL) {
        *ret_text = mem_strdup(ENDING_TEXT_CANCELLED);
        return TASK_REPLY_ERROR;
    }
    if ((stop == ENDING_STOP_NONE || stop == ENDING_STOP_FINAL) && is_answer(e)) {
        *ret_text = success_text(e, anew, limits);
        return TASK_REPLY_ASSISTANT;
    }
    *ret_text = failure_text(e, stop, anew, limits);
    return TASK_REPLY_ERROR;
}
