/* script.h - a TCP server for tests that does what a list of steps says, one after the other.
 * It listens on 127.0.0.1 on a port that the kernel chooses and works on a thread of its own. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum script_action {
    SCRIPT_ACCEPT, /* the next connection, which replaces the current one */
    SCRIPT_READ,   /* one whole HTTP request, by its Content-Length; kept */
    SCRIPT_SEND,   /* text (len bytes, or to its NUL where len is 0), repeat times (0: once) */
    SCRIPT_CLOSE,  /* orderly */
    SCRIPT_RESET,  /* with RST */
    SCRIPT_HOLD,   /* until the client closes */
    SCRIPT_PARK,   /* keeps the connection open and silent to the end; the next step is an accept */
    SCRIPT_WAIT,   /* ms; to be slow with */
    SCRIPT_ACTION_COUNT
};

struct script_step {
    enum script_action action;
    const char *text;
    size_t len;
    size_t repeat;
    int ms;
};

struct script;

/* The steps are borrowed until script_stop(). Aborts where the machine gives no socket or thread.
 */
struct script *script_start(const struct script_step *steps, size_t count);
unsigned script_port(const struct script *s);
/* Waits until every step is done (at most ms); whether it was so. */
int script_wait(struct script *s, int ms);
size_t script_requests(struct script *s);               /* read so far */
const char *script_request(struct script *s, size_t n); /* text; NULL if there are fewer */
/* Breaks off what is under way, ends the thread and frees. */
void script_stop(struct script *s);

/* The usual steps of one answer on one connection. */
#define SCRIPT_ANSWER(answer)                                                                      \
    { .action = SCRIPT_ACCEPT }, { .action = SCRIPT_READ },                                        \
        { .action = SCRIPT_SEND, .text = (answer) },                                               \
    {                                                                                              \
        .action = SCRIPT_CLOSE                                                                     \
    }
