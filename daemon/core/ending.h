/* ending.h - how an attempt ended, and the words for it. Pure.
 * The words go into a chat: they name the program, the exit status or signal by name, the limit
 * that was hit, and the last lines of standard error, so that the reader can act. */
#pragma once
#include "task/limit.h"
#include "task/task.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why we ended an attempt ourselves. */
enum ending_stop {
    ENDING_STOP_NONE,
    ENDING_STOP_START, /* its program did not begin in time */
    ENDING_STOP_TIMEOUT,
    ENDING_STOP_IDLE,
    ENDING_STOP_OUTPUT,
    ENDING_STOP_FINAL, /* its result was seen: what still ran was no work any more, not an error */
    ENDING_STOP_CANCEL,
    ENDING_STOP_SHUTDOWN, /* orderly: the message runs again */
    ENDING_STOP_LEASE,    /* lost: another daemon answers */
    ENDING_STOP_COUNT
};

struct ending {
    bool failed_to_start;
    bool not_found;          /* of those: the program isn't there or can't be executed */
    const char *start_error; /* the failed step and its errno */
    bool unfit;              /* of those: what the message needs isn't to be had; start_error is a
                                sentence for who sent it */
    bool stuck;              /* some process survives in the kernel */
    bool oom;
    enum limit limit;    /* killed, as it went past this one */
    bool files_gone;     /* and what it had made was removed, to have room again */
    bool files;          /* it left some for people */
    bool egress_lost;    /* killed, as the process that serves its network had died */
    const char *refused; /* what its network was refused, a sentence a line, masked; NULL none */
    int status;          /* as from waitpid(2) */
    const char *stderr_tail; /* valid UTF-8, masked; "" when empty */
    /* what the runner read; texts are valid UTF-8, masked, NULL where there are none */
    bool ok;                /* a final answer */
    bool final;             /* the program's own result: exit status and signal mean nothing */
    bool session_gone;      /* !ok, as the session to go on with is not there */
    const char *text;       /* the answer, or what was printed instead */
    const char *error;      /* !ok: what went wrong, in words for the chat */
    uint64_t dropped_bytes; /* of the answer, past the reply limit */
    bool has_usage;
    struct usage usage;
};

struct ending_limits {
    const char *program;
    uint32_t timeout_ms, idle_timeout_ms;
    uint64_t output_limit_bytes, reply_limit_bytes;
    uint64_t memory_bytes; /* 0: don't name it; here and below */
    uint64_t disk_bytes, cpu_time_ms;
    uint32_t pids, files;
};

/* The terminal reply of an attempt that ended by itself or by a stop other than SHUTDOWN and LEASE.
 * anew: a note says that the earlier conversation is lost. Returns its kind; *ret_text is
 * allocated, at most reply_limit_bytes and some notes long. */
enum task_reply_kind ending_reply(const struct ending *e, enum ending_stop stop, bool anew,
                                  const struct ending_limits *limits, char **ret_text);
/* "SIGKILL" for 9; "signal 77" for what has no name. Returns buffer or a constant. */
const char *ending_signal_name(int signo, char buffer[16]);
/* text cut to at most max bytes on a character boundary with a note of what is missing; a note that
 * ending_add_note() put at its end stays. Allocated. */
char *ending_shorten(const char *text, size_t max, const char *why);
/* A reply, whose ownership passes, with a note of ours after it, NULL or "" for none: together at
 * most limit bytes long where the text was, by cutting the text. Returns what to free. */
char *ending_add_note(char *text, const char *note, uint64_t limit);

/* Replies for messages that end without an attempt's ending. Static text without the prefix. */
#define ENDING_TEXT_CANCELLED "stopped by the user"
#define ENDING_TEXT_UNSURVEYED                                                                     \
    "nairid could not look for files that programs may run or obey later: it took too long"
#define ENDING_TEXT_UNSENT                                                                         \
    "nairid has not sent the files that were put into the outbox: the task did not end well"
#define ENDING_TEXT_SURVEYS_CUT                                                                    \
    "nairid could not look for files that programs may run or obey later: it, or its machine, "    \
    "ended each time before it was through"
#define ENDING_TEXT_QUARANTINED                                                                    \
    "a process of an earlier task of this conversation could not be ended and still holds its "    \
    "files; start a new conversation, and tell the operator of the machine"
