/* The realtime channel's client against any server. A line of the input is one event: a letter, and
 * what follows it: 'g' and 'p' a digit for the status and the body of the answer to the GET or the
 * POST, 'G' and 'P' that it was lost, 's' what is to be said, 't' its deadline, 'l' a while, 'o'
 * and 'c' the word to be connected or not. What isn't in flight isn't answered. */
#include "support/replay.h"

#include <string.h>

#include "support/input.h"
#include "upstream/realtime.h"
#include "util/cleanup.h"
#include "util/json.h"

struct world {
    struct realtime *r;
    struct realtime_now now;
    bool getting, posting, up;
};

static void check_request(struct world *w, const struct realtime_command *c, bool *in_flight)
{
    FUZZ_CHECK(!*in_flight && c->path < REALTIME_PATHS && c->timeout_ms > 0);
    FUZZ_CHECK(memchr(c->sid, '\0', sizeof c->sid));
    FUZZ_CHECK(strspn(c->sid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               strlen(c->sid));
    FUZZ_CHECK(c->type != REALTIME_POST ||
               (c->sid[0] && c->text[0] && strlen(c->text) <= REALTIME_OUT_MAX));
    (void)w;
    *in_flight = true;
}

static void check_message(const struct world *w, const char *text)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;

    FUZZ_CHECK(w->up && json_parse(text, strlen(text), &root, NULL) == 0 && json_is_object(root));
}

static void check_command(struct world *w, const struct realtime_command *c)
{
    switch (c->type) {
    case REALTIME_GET:
        check_request(w, c, &w->getting);
        break;
    case REALTIME_POST:
        check_request(w, c, &w->posting);
        break;
    case REALTIME_CANCEL:
        FUZZ_CHECK(w->getting || w->posting);
        w->getting = w->posting = false;
        break;
    case REALTIME_UP:
        FUZZ_CHECK(!w->up);
        w->up = true;
        break;
    case REALTIME_DOWN:
        FUZZ_CHECK(w->up);
        w->up = false;
        break;
    case REALTIME_MESSAGE:
        check_message(w, c->text);
        break;
    case REALTIME_MISSED:
        break;
    case REALTIME_NOTE:
        FUZZ_CHECK(c->name && c->text && c->text[0]);
        break;
    }
}

static void check(struct world *w, struct realtime_commands *commands)
{
    for (size_t i = 0; i < commands->len; i++)
        check_command(w, &commands->items[i]);
    realtime_commands_done(commands);
    FUZZ_CHECK(realtime_is_up(w->r) == w->up);
    FUZZ_CHECK(!w->up || w->getting); /* there is always one */
}

/* At its deadline it does something, or has a later one: it never spins. */
static void pass_time(struct world *w, uint64_t ms)
{
    struct realtime_commands commands = { 0 };
    bool any;

    w->now.mono_ms += ms;
    realtime_tick(w->r, &w->now, &commands);
    any = commands.len > 0;
    check(w, &commands);
    FUZZ_CHECK(any || realtime_deadline(w->r) > w->now.mono_ms || realtime_is_closing(w->r));
}

static void answer(struct world *w, bool post, bool lost, const char *text)
{
    static const int statuses[] = { 200, 204, 302, 400, 401, 404, 405, 429, 500, 503 };
    size_t len = strlen(text);
    bool has_status = len > 0 && text[0] >= '0' && text[0] <= '9';
    const struct realtime_answer a = {
        .outcome = lost ? HTTP_UNREACHABLE : HTTP_DONE,
        .status = lost ? 0 : statuses[has_status ? text[0] - '0' : 0],
        .body = lost ? "" : text + has_status,
        .body_len = lost ? 0 : len - has_status,
        .error = lost ? "nobody there" : "",
    };
    struct realtime_commands commands = { 0 };

    if (!*(post ? &w->posting : &w->getting))
        return;
    *(post ? &w->posting : &w->getting) = false;
    (post ? realtime_posted : realtime_got)(w->r, &a, &w->now, &commands);
    check(w, &commands);
}

static void say(struct world *w, const char *text)
{
    struct realtime_commands commands = { 0 };
    CLEANUP_PTR(json_free) struct json *root = NULL;
    bool said;

    if (json_parse(text, strlen(text), &root, NULL) < 0)
        return;
    said = realtime_say(w->r, text, &w->now, &commands);
    FUZZ_CHECK(!said || w->up);
    check(w, &commands);
}

static void step(struct world *w, char what, const char *text)
{
    struct realtime_commands commands = { 0 };
    uint64_t at = realtime_deadline(w->r);

    w->now.entropy = w->now.entropy * 1664525 + 1013904223;
    if (what == 'g' || what == 'p' || what == 'G' || what == 'P') {
        answer(w, what == 'p' || what == 'P', what == 'G' || what == 'P', text);
    } else if (what == 's') {
        say(w, text);
    } else if (what == 't' && at != UINT64_MAX) {
        pass_time(w, at > w->now.mono_ms ? at - w->now.mono_ms : 0);
    } else if (what == 'l') {
        w->now.mono_ms += strlen(text) * 100;
    } else if (what == 'o' || what == 'c') {
        (what == 'o' ? realtime_open : realtime_close)(w->r, &w->now, &commands);
        check(w, &commands);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(realtime_free) struct realtime *r = realtime_new();
    struct world w = { .r = r, .now = { .mono_ms = 1000 } };
    struct input in = { .at = data, .left = size };

    step(&w, 'o', "");
    while (in.left > 0) {
        AUTO_FREE char *line = input_until(&in, '\n');

        if (line[0])
            step(&w, line[0], line + 1);
    }
    return 0;
}
