#include "main/dialogue.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "main/clientenv.h"
#include "main/exitcode.h"
#include "main/keepsake.h"
#include "main/luggage.h"
#include "main/programs.h"
#include "main/publicapi.h"
#include "main/terminal.h"
#include "main/transcript.h"
#include "util/backoff.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/random.h"

enum {
    POLL_FIRST_MS = 100,
    POLL_MOST_MS = 2000,
    RETRY_FIRST_MS = 500,
    RETRY_CAP_MS = 30 * 1000,
    GIVE_UP_MS = 2 * 60 * 1000, /* of nothing but failures */
    TICK_MS = 1000,
    ID_MAX = 64,
    SIGNAL_BASE = 128, /* a shell's exit code for a signal */
};

struct dialogue {
    const struct dialogue_options *options;
    struct loop *loop;
    struct publicapi *api;
    char *url; /* of the server that api asks */
    char *job_id, *message_id;
    struct loop_timer *poll, *tick;
    struct loop_signal *interrupt, *terminate;
    struct backoff backoff;
    uint32_t interval_ms;
    uint64_t failing_since_ms; /* 0: the last request went well */
    uint64_t began_ms;
    bool shows; /* standard error is a terminal: say there what is done */
    bool drawn;
    struct transcript seen;
    size_t saved; /* of the answer's files */
    int code;
};

static void send_request(struct dialogue *d);
static char *make_request(const struct dialogue_options *o);

/* ---- what a person sees ---- */

/* What to type to go on with the conversation. */
static void print_command(const struct dialogue *d)
{
    const char *state = d->options->state;

    fprintf(stderr, "%s ask%s%s%s --job %s", programs_name(), state ? " --state '" : "",
            state ? state : "", state ? "'" : "", d->job_id);
}

static void erase(struct dialogue *d)
{
    if (d->drawn)
        fputs("\r\033[K", stderr);
    d->drawn = false;
}

static void draw(struct dialogue *d)
{
    static const char *const words[] = {
        [TRANSCRIPT_UNKNOWN] = "asking",  [TRANSCRIPT_QUEUED] = "queued",
        [TRANSCRIPT_PENDING] = "working", [TRANSCRIPT_COMPLETED] = "done",
        [TRANSCRIPT_FAILED] = "failed",
    };
    static_assert(ARRAY_SIZE(words) == TRANSCRIPT_STATUS_COUNT, "a word for each status");
    CLEANUP(buf_done) struct buf text = { 0 }, line = { 0 };
    uint64_t so_far_ms = loop_now_ms(d->loop) - d->began_ms;
    size_t columns = terminal_columns(STDERR_FILENO);
    char span[32];

    if (!d->shows)
        return;
    buf_append_str(&text, words[d->seen.status]);
    if (so_far_ms >= 1000)
        buf_printf(&text, ", %s", clock_span(span, so_far_ms));
    if (d->failing_since_ms)
        buf_append_str(&text, ", no answer from the server, trying again");
    else if (d->seen.doing.len > 0)
        buf_printf(&text, ": %s", d->seen.doing.data);
    terminal_fit(&line, text.data, columns > 0 ? columns - 1 : 0); /* the last one would wrap */
    fprintf(stderr, "\r%s\033[K", buf_str(&line));
    d->drawn = true;
}

static void on_tick(struct loop_timer *timer, void *ctx)
{
    struct dialogue *d = ctx;

    draw(d);
    loop_timer_arm(timer, TICK_MS);
}

static void print_resume(const struct dialogue *d, const char *what_is)
{
    AUTO_FREE char *path = mem_printf("/conversations/%s/stop", d->job_id);
    AUTO_FREE char *curl = publicapi_curl(d->api, "POST", path);

    fprintf(stderr, "nairid ask: %s. To get its answer:\n  ", what_is);
    print_command(d);
    fputs("\nTo stop it:\n", stderr);
    if (d->options->env_dir) /* else the shell has the key that curl is to use */
        fprintf(stderr, "  . '%s/" CLIENTENV_FILE "'\n", d->options->env_dir);
    fprintf(stderr, "  %s\n", curl);
}

/* ---- the end ---- */

static void finish(struct dialogue *d, int code)
{
    erase(d);
    d->code = code;
    loop_stop(d->loop);
}

static void fail(struct dialogue *d, int code, const char *text)
{
    CLEANUP(buf_done) struct buf clean = { 0 };

    erase(d);
    terminal_clean(&clean, text, strlen(text));
    fprintf(stderr, "nairid ask: %s\n", buf_str(&clean));
    finish(d, code);
}

/* On a terminal without what could play tricks on it; into a file or pipe byte for byte. */
static void print_text(FILE *file, const struct buf *text)
{
    CLEANUP(buf_done) struct buf clean = { 0 };
    const struct buf *shown = text;

    if (isatty(fileno(file))) {
        terminal_clean(&clean, buf_str(text), text->len);
        shown = &clean;
    }
    fwrite(buf_str(shown), 1, shown->len, file); /* main() looks at ferror() */
    if (shown->len > 0 && shown->data[shown->len - 1] != '\n')
        fputc('\n', file);
}

/* What came with the answer, and lies at the server. */
static void print_files(const struct dialogue *d)
{
    if (d->seen.files.len == 0 || d->options->keepsake)
        return;
    fputs("nairid ask: with the answer came", stderr);
    for (size_t i = 0; i < d->seen.files.len; i++)
        fprintf(stderr, "%s %s", i > 0 ? "," : "", d->seen.files.items[i]);
    fprintf(stderr, ". To save %s:\n  ", d->seen.files.len > 1 ? "them" : "it");
    print_command(d);
    fputs(" --save DIR\n", stderr);
}

static void print_end(struct dialogue *d)
{
    erase(d);
    if (d->seen.status == TRANSCRIPT_COMPLETED) {
        print_text(stdout, &d->seen.answer);
        fflush(stdout); /* before what follows on stderr */
        print_files(d);
        if (d->shows) {
            fputs("(to go on: ", stderr);
            print_command(d);
            fputs(" PROMPT)\n", stderr);
        }
        finish(d, EX_OK);
        return;
    }
    if (d->seen.error.len > 0)
        print_text(stderr, &d->seen.error);
    else
        fputs("nairid ask: the task failed, and the server doesn't say why\n", stderr);
    finish(d, EXITCODE_FAILED);
}

static void on_interrupt(struct loop_signal *watcher, int signo, void *ctx)
{
    struct dialogue *d = ctx;

    (void)watcher;
    erase(d);
    if (d->job_id)
        print_resume(d, "the task goes on");
    else if (d->options->prompt)
        fputs("nairid ask: stopped before the server had answered; whether the task was started is "
              "not known\n",
              stderr);
    finish(d, SIGNAL_BASE + signo);
}

/* ---- answers ---- */

/* Deals with every answer that isn't one; false: the caller carries on. */
static bool failed(struct dialogue *d, const struct publicapi_answer *answer, bool may_repeat)
{
    static const int codes[] = {
        [PUBLICAPI_UNKNOWN_ID] = EXITCODE_FAILED, [PUBLICAPI_REFUSED] = EXITCODE_FAILED,
        [PUBLICAPI_KEY_REFUSED] = EX_NOPERM,      [PUBLICAPI_BUSY] = EX_UNAVAILABLE,
        [PUBLICAPI_DOWN] = EX_UNAVAILABLE,
    };
    static_assert(ARRAY_SIZE(codes) == PUBLICAPI_VERDICT_COUNT, "a code for each verdict");
    uint64_t now_ms = loop_now_ms(d->loop);
    uint32_t wait_ms = 0; /* 0: it makes no sense to ask again */
    AUTO_FREE char *text = NULL;

    if (answer->verdict == PUBLICAPI_OK) {
        d->failing_since_ms = 0;
        d->backoff.failures = 0;
        return false;
    }
    if (!d->failing_since_ms)
        d->failing_since_ms = now_ms;
    if (answer->verdict == PUBLICAPI_BUSY || (answer->verdict == PUBLICAPI_DOWN && may_repeat))
        wait_ms = backoff_next(&d->backoff, random_u32(), answer->retry_after_ms);
    if (wait_ms > 0 && now_ms + wait_ms - d->failing_since_ms < GIVE_UP_MS) {
        draw(d);
        loop_timer_arm(d->poll, wait_ms);
        return true;
    }
    text = answer->verdict == PUBLICAPI_UNKNOWN_ID && d->job_id
               ? mem_printf("the server knows no conversation '%s': %s", d->job_id, answer->text)
               : mem_strdup(answer->text);
    fail(d, codes[answer->verdict], text);
    if (d->job_id && answer->verdict >= PUBLICAPI_BUSY)
        print_resume(d, "whether the task goes on is not known");
    return true;
}

static void wait_more(struct dialogue *d)
{
    draw(d);
    loop_timer_arm(d->poll, d->interval_ms);
    d->interval_ms += d->interval_ms / 2;
    if (d->interval_ms > POLL_MOST_MS)
        d->interval_ms = POLL_MOST_MS;
}

static bool is_ended(const struct dialogue *d)
{
    return d->seen.status == TRANSCRIPT_COMPLETED || d->seen.status == TRANSCRIPT_FAILED;
}

/* ---- files, either way ---- */

static void save_files(struct dialogue *d);

static void on_saved(const struct publicapi_answer *answer, void *ctx)
{
    struct dialogue *d = ctx;
    struct keepsake *k = d->options->keepsake;
    char name[KEEPSAKE_NAME_MAX];
    struct err err = { 0 };

    if (keepsake_fault(k)) {
        fail(d, EXITCODE_FAILED, keepsake_fault(k));
    } else if (!failed(d, answer, true)) {
        if (keepsake_keep(k, name, &err) < 0) {
            fail(d, EXITCODE_FAILED, err.text);
            return;
        }
        erase(d);
        fprintf(stderr, "nairid ask: saved '%s/%s'\n", d->options->save_dir, name);
        d->saved++;
        save_files(d);
    }
}

/* The next one of the answer's; after the last one, the answer. */
static void save_files(struct dialogue *d)
{
    struct err err = { 0 };

    if (!d->options->keepsake || d->saved == d->seen.files.len)
        print_end(d);
    else if (keepsake_fetch(d->options->keepsake, d->api, d->seen.files.items[d->saved], on_saved,
                            d, &err) < 0)
        fail(d, EXITCODE_FAILED, err.text);
}

static void on_sent_along(const struct publicapi_answer *answer, void *ctx)
{
    struct dialogue *d = ctx;
    struct luggage *luggage = d->options->luggage;
    AUTO_FREE char *text = NULL;

    if (answer->verdict == PUBLICAPI_REFUSED || answer->verdict == PUBLICAPI_UNKNOWN_ID) {
        text = mem_printf("the server doesn't take '%s': %s", luggage_name(luggage), answer->text);
        fail(d, EXITCODE_FAILED, text);
    } else if (!failed(d, answer, true)) { /* one that was sent twice is in no message */
        if (luggage_take(luggage, answer->body) < 0)
            fail(d, EX_UNAVAILABLE,
                 "the server's answer names no attachment: is that a Nairi server?");
        else
            send_request(d);
    }
}

/* ---- the conversation ---- */

static void on_list(const struct publicapi_answer *answer, void *ctx)
{
    struct dialogue *d = ctx;

    if (failed(d, answer, true))
        return;
    transcript_done(&d->seen);
    transcript_read(answer->body, d->message_id, &d->seen);
    if (d->seen.status == TRANSCRIPT_UNKNOWN)
        fail(d, EX_UNAVAILABLE,
             "the server lists the conversation without the message: is that a "
             "Nairi server?");
    else if (is_ended(d))
        save_files(d);
    else
        wait_more(d);
}

static void on_message(const struct publicapi_answer *answer, void *ctx)
{
    struct dialogue *d = ctx;

    if (failed(d, answer, true))
        return;
    d->seen.status = transcript_status_of(answer->body);
    if (is_ended(d))
        send_request(d); /* the list, which has the reply */
    else
        wait_more(d);
}

/* Part of a path, from a server or a person. */
static bool is_id(const char *s)
{
    size_t len = s ? strlen(s) : 0;

    return len > 0 && len <= ID_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static void keep_ids(struct dialogue *d, const char *job_id, const char *message_id)
{
    if (!is_id(job_id) || !is_id(message_id)) {
        fail(d, EX_UNAVAILABLE, "the server's answer names no message: is that a Nairi server?");
        return;
    }
    if (!d->job_id)
        d->job_id = mem_strdup(job_id);
    d->message_id = mem_strdup(message_id);
    wait_more(d);
}

static void on_started(const struct publicapi_answer *answer, void *ctx)
{
    struct dialogue *d = ctx;

    if (!failed(d, answer, false)) /* a second POST could start a second task */
        keep_ids(d, json_get_str(answer->body, "job_id"), json_get_str(answer->body, "message_id"));
}

static void on_resumed(const struct publicapi_answer *answer, void *ctx)
{
    struct dialogue *d = ctx;

    if (!failed(d, answer, true))
        keep_ids(d, d->job_id, transcript_last_question(answer->body));
}

/* The request that is due in the state that d is in. */
static void send_request(struct dialogue *d)
{
    AUTO_FREE char *path = NULL, *request = NULL;

    if (!d->message_id && !luggage_is_sent(d->options->luggage)) {
        luggage_send(d->options->luggage, d->api, on_sent_along, d);
    } else if (!d->message_id && d->options->prompt) {
        request = make_request(d->options);
        path = d->options->job_id ? mem_printf("/conversations/%s/continue", d->options->job_id)
                                  : mem_strdup("/conversations/start");
        publicapi_call(d->api, "POST", path, request, on_started, d);
    } else if (d->message_id && !d->shows && !is_ended(d)) {
        path = mem_printf("/messages/%s", d->message_id);
        publicapi_call(d->api, "GET", path, NULL, on_message, d);
    } else {
        path = mem_printf("/conversations/%s/messages", d->job_id);
        publicapi_call(d->api, "GET", path, NULL, d->message_id ? on_list : on_resumed, d);
    }
}

/* A `nairid up` that was started again may have another port. */
static void follow_server(struct dialogue *d)
{
    struct clientenv fresh = { 0 };
    struct publicapi *api = NULL;

    if (!d->options->env_dir || clientenv_load(d->options->env_dir, &fresh, NULL) < 0)
        return;
    if (fresh.url && fresh.key && strcmp(fresh.url, d->url) != 0 &&
        clientenv_check_key(fresh.key, NULL) == 0 &&
        publicapi_new(d->loop, &fresh, &api, NULL) == 0) {
        publicapi_free(d->api);
        d->api = api;
        free(d->url);
        d->url = mem_strdup(fresh.url);
    }
    clientenv_done(&fresh);
}

static void on_poll(struct loop_timer *timer, void *ctx)
{
    struct dialogue *d = ctx;

    (void)timer; /* one-shot */
    if (d->failing_since_ms)
        follow_server(d);
    send_request(d);
}

static char *make_request(const struct dialogue_options *o)
{
    CLEANUP_PTR(json_free) struct json *body = json_object();

    if (!o->job_id) {
        json_add_str(body, "agent_id", o->agent_id);
        json_add_bool(body, "ask_mode", o->ask_mode);
    }
    json_add_str(body, "prompt", o->prompt);
    luggage_add_ids(o->luggage, body);
    return json_print(body);
}

static int dialogue_init(struct dialogue *d, const struct clientenv *client, struct err *err)
{
    int r = loop_new(&d->loop, err);

    if (r < 0)
        return r;
    r = publicapi_new(d->loop, client, &d->api, err);
    if (r < 0)
        return r;
    d->url = mem_strdup(client->url);
    d->poll = loop_timer_new(d->loop, on_poll, d);
    d->tick = loop_timer_new(d->loop, on_tick, d);
    d->interrupt = loop_signal_new(d->loop, SIGINT, on_interrupt, d);
    d->terminate = loop_signal_new(d->loop, SIGTERM, on_interrupt, d);
    d->job_id = mem_strdup(d->options->job_id);
    d->began_ms = loop_now_ms(d->loop);
    d->shows = terminal_can_redraw(STDERR_FILENO);
    return backoff_init(&d->backoff, RETRY_FIRST_MS, RETRY_CAP_MS);
}

static void dialogue_done(struct dialogue *d)
{
    loop_timer_free(d->poll);
    loop_timer_free(d->tick);
    loop_signal_free(d->interrupt);
    loop_signal_free(d->terminate);
    publicapi_free(d->api);
    free(d->url);
    loop_free(d->loop);
    transcript_done(&d->seen);
    free(d->job_id);
    free(d->message_id);
}

int dialogue_run(const struct clientenv *client, const struct dialogue_options *options)
{
    struct dialogue d = { .options = options, .interval_ms = POLL_FIRST_MS, .code = EX_SOFTWARE };
    struct err err = { 0 };

    if (options->job_id && !is_id(options->job_id)) {
        fprintf(stderr, "nairid ask: '%s' is no conversation's id\n", options->job_id);
        return EX_USAGE;
    }
    if (dialogue_init(&d, client, &err) < 0) {
        fprintf(stderr, "nairid ask: %s\n", err.text);
        dialogue_done(&d);
        return exitcode_from_errno(err.code);
    }
    if (d.shows)
        on_tick(d.tick, &d);
    send_request(&d);
    loop_run(d.loop);
    dialogue_done(&d);
    return d.code;
}
