#include "upstream/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "util/buf.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/str.h"
#include "util/utf8.h"

enum {
    ERROR_BODY_MAX = 64 * 1024, /* a longer error is no error of this API */
    WORDS_MAX = 160             /* of the server's own, in our sentence */
};

/* What the body of an error says; json is whether it is an object at all. */
struct words {
    bool json;
    char text[WORDS_MAX + 4]; /* " (…)" around them, or "" */
};

static const char *const request_names[] = {
    [VERDICT_POLL] = "the poll for messages",  [VERDICT_SUBMIT] = "a message to the server",
    [VERDICT_ACK] = "an acknowledgement",      [VERDICT_DOWNLOAD] = "the download of an attachment",
    [VERDICT_UPLOAD] = "the upload of a file",
};

static void keep_words(struct words *w, const char *said, const char *never_say)
{
    CLEANUP(buf_done) struct buf clean = { 0 };
    size_t len;

    utf8_clean(&clean, said, strlen(said));
    for (size_t i = 0; i < clean.len; i++)
        if (clean.data[i] == '\n' || clean.data[i] == '\t')
            clean.data[i] = ' ';
    len = utf8_cut(buf_str(&clean), clean.len, WORDS_MAX);
    if (len == 0 || (!str_is_empty(never_say) && strstr(clean.data, never_say)))
        return;
    (void)snprintf(w->text, sizeof w->text, " (%.*s)", (int)len, clean.data);
}

static void read_words(const struct verdict_facts *f, struct words *w)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    const char *said;

    *w = (struct words){ 0 };
    if (f->body_len == 0 || f->body_len > ERROR_BODY_MAX ||
        json_parse(f->body, f->body_len, &root, NULL) < 0 || !json_is_object(root))
        return;
    w->json = true;
    said = json_get_str(root, "error");
    if (!said)
        said = json_get_str(root, "message");
    if (said)
        keep_words(w, said, f->never_say);
}

static bool is_page(const struct verdict_facts *f)
{
    const char *start = f->body + strspn(f->body, " \t\r\n");

    return strncasecmp(f->content_type, "text/html", 9) == 0 || *start == '<';
}

__attribute__((format(printf, 3, 4))) static void
say(struct verdict *v, enum upstream_verdict verdict, const char *fmt, ...)
{
    va_list ap;

    v->verdict = verdict;
    va_start(ap, fmt);
    (void)vsnprintf(v->text, sizeof v->text, fmt, ap); /* cut where too long */
    va_end(ap);
}

/* An answer that came from something in between, or from a server that is not ours. A poll shows
 * how the whole link is; a post may have met a filter that minds its contents alone. */
static void say_stranger(const struct verdict_facts *f, struct verdict *v)
{
    say(v, f->request == VERDICT_POLL ? UPSTREAM_DOWN : UPSTREAM_FAILED,
        "%s was answered with status %d and %s instead of JSON: it came from a proxy, or "
        "server.url "
        "does not lead to the control plane",
        request_names[f->request], f->status, f->body_len ? "a page" : "nothing");
}

/* What can be told from a proxy's page, and so is the server's own, will be the same next time. */
static void judge_file(const struct verdict_facts *f, struct verdict *v)
{
    switch (f->file_fault) {
    case -EILSEQ:
    case -ENODATA:
        say(v, UPSTREAM_REFUSED, "%s", f->file_error);
        break;
    case -EFBIG:
        say(v, UPSTREAM_TOO_LARGE, "%s", f->file_error);
        break;
    default: /* -EBADMSG, or who takes the file has no place for it */
        say(v, UPSTREAM_FAILED, "%s",
            str_is_empty(f->file_error) ? "the download was broken off" : f->file_error);
    }
}

static void judge_success(const struct verdict_facts *f, struct verdict *v)
{
    if (f->request == VERDICT_POLL) {
        if (f->status != 200)
            say(v, UPSTREAM_DOWN,
                "the poll for messages was answered with status %d instead of 200: check that "
                "server.url leads to the control plane",
                f->status);
        else if (f->listing_error)
            say(v, UPSTREAM_DOWN,
                "the answer to the poll for messages is not a list of jobs: %s; check that "
                "server.url leads to the control plane and that no proxy or log-in page answers "
                "for it",
                f->listing_error);
    } else if (f->body_len > 0 && is_page(f)) { /* a log-in page took it, not the server */
        say(v, UPSTREAM_DOWN,
            "%s was answered with a page: a proxy or log-in page answers for the control plane",
            request_names[f->request]);
    } else if (f->request == VERDICT_UPLOAD && !f->has_id) {
        say(v, UPSTREAM_FAILED,
            "the upload of a file was answered with status %d and without an attachment's id",
            f->status);
    }
}

static void judge_refusal(const struct verdict_facts *f, const struct words *w, struct verdict *v)
{
    if (f->request == VERDICT_DOWNLOAD)
        say(v, UPSTREAM_REFUSED, "the server doesn't have it or doesn't give it out (status %d)%s",
            f->status, w->text);
    else if (f->request == VERDICT_POLL)
        say(v, UPSTREAM_DOWN,
            "the poll for messages was refused with status %d%s: check that server.url leads to "
            "the control plane",
            f->status, w->text);
    else if (f->status == 409)
        say(v, UPSTREAM_CONFLICT,
            "%s was refused%s: the lease on its job is lost, another daemon answers it",
            request_names[f->request], w->text);
    else
        say(v, UPSTREAM_REFUSED, "%s was refused for good with status %d%s",
            request_names[f->request], f->status, w->text);
}

static void judge_too_large(const struct verdict_facts *f, const struct words *w, struct verdict *v)
{
    if (f->request == VERDICT_UPLOAD && f->status == 413)
        say(v, UPSTREAM_TOO_LARGE, "it is too large for the server%s", w->text);
    else if (f->request != VERDICT_SUBMIT && !w->json)
        say_stranger(f, v);
    else if (f->request != VERDICT_SUBMIT)
        judge_refusal(f, w, v);
    else
        say(v, UPSTREAM_TOO_LARGE, "the server does not take this message (status %d)%s", f->status,
            w->text);
}

static void judge_busy(const struct verdict_facts *f, const struct words *w, struct verdict *v)
{
    char span[32];

    if (f->retry_after_ms > 0)
        say(v, UPSTREAM_BUSY, "the server is busy (status %d)%s and wants to be left alone for %s",
            f->status, w->text, clock_span(span, f->retry_after_ms));
    else
        say(v, UPSTREAM_BUSY, "the server is busy (status %d)%s", f->status, w->text);
}

static void judge_rest(const struct verdict_facts *f, const struct words *w, struct verdict *v)
{
    bool alone = f->request != VERDICT_POLL && (w->json || f->status == 500);

    if (f->status >= 300 && f->status < 400)
        say(v, UPSTREAM_DOWN,
            "%s was redirected (status %d), which is not followed: set server.url to the address "
            "that it leads to",
            request_names[f->request], f->status);
    else if (f->status >= 500)
        say(v, alone ? UPSTREAM_FAILED : UPSTREAM_DOWN, "the server failed at %s (status %d)%s",
            request_names[f->request], f->status, w->text);
    else if (!w->json)
        say_stranger(f, v);
    else
        say(v, alone ? UPSTREAM_FAILED : UPSTREAM_DOWN,
            "%s was answered with status %d%s: check that server.url leads to the control plane",
            request_names[f->request], f->status, w->text);
}

static void judge_status(const struct verdict_facts *f, struct verdict *v)
{
    struct words w;

    read_words(f, &w);
    switch (f->status) {
    case 401:
    case 403:
        if (w.json)
            say(v, UPSTREAM_KEY_REFUSED,
                "the server refused the agent key (status %d)%s: check that the key is right and "
                "was not revoked",
                f->status, w.text);
        else
            say_stranger(f, v);
        return;
    case 404:
    case 409:
    case 410:
        if (w.json)
            judge_refusal(f, &w, v);
        else
            say_stranger(f, v);
        return;
    case 413: /* also a proxy's: a shorter message passes that too */
        judge_too_large(f, &w, v);
        return;
    case 400:
    case 422:
        if (w.json)
            judge_too_large(f, &w, v);
        else
            say_stranger(f, v);
        return;
    case 429:
    case 503:
        judge_busy(f, &w, v);
        return;
    default:
        judge_rest(f, &w, v);
    }
}

void verdict_judge(const struct verdict_facts *f, struct verdict *ret_verdict)
{
    struct verdict *v = ret_verdict;

    v->verdict = UPSTREAM_OK;
    v->text[0] = '\0';
    if (f->request == VERDICT_DOWNLOAD && f->file_fault < 0)
        judge_file(f, v);
    else if (f->request == VERDICT_DOWNLOAD && f->outcome == HTTP_TOO_LARGE)
        say(v, UPSTREAM_TOO_LARGE, "it is too large");
    else if (f->request == VERDICT_DOWNLOAD && f->outcome == HTTP_STOPPED)
        judge_file(f, v);
    else if (f->outcome == HTTP_TOO_LARGE && f->request != VERDICT_POLL)
        say(v, UPSTREAM_FAILED, "%s: %s", request_names[f->request], f->http_error);
    else if (f->request == VERDICT_UPLOAD && f->outcome == HTTP_STOPPED)
        say(v, UPSTREAM_REFUSED, "it can't be read to its end");
    else if (f->request == VERDICT_UPLOAD && f->outcome != HTTP_DONE && f->reached)
        say(v, UPSTREAM_FAILED, "%s", f->http_error); /* a short one may pass all the same */
    else if (f->outcome != HTTP_DONE)
        say(v, UPSTREAM_DOWN, "%s", f->http_error);
    else if (f->status >= 200 && f->status < 300)
        judge_success(f, v);
    else
        judge_status(f, v);
}
