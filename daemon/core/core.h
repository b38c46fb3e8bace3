/* core.h - the daemon's decisions: one event in, a list of commands out.
 * Pure: reads no clock, draws no randomness, touches no descriptor, never logs. Time and random
 * bits come with each event. The wiring (main/wire.c) turns what happens into events and carries
 * out the commands, the storing ones first and the others only once those are durable
 * (core/turn.h): store, then act, then acknowledge. The same functions run in a simulator.
 *
 * A message's life: CORE_EV_MESSAGE -> INSERT; a slot is free -> UPDATE (running), SPAWN;
 * CORE_EV_ENDED -> UPDATE (finished, with the reply), SEND reply; CORE_EV_SENT -> UPDATE
 * (delivered), SEND ack; CORE_EV_SENT -> UPDATE (acked). One post is in flight per job. One that
 * only says that and how an attempt runs doesn't keep its reply waiting: unless it is answered soon
 * it is given up, SEND_CANCEL; CORE_EV_SENT -> SEND reply. Nor do those of other jobs: they, and
 * COMPLETE, never take every place there is, and one that is lost holds up its like alone.
 *
 * What an attempt in mode execute left in the job's directories is looked at before its reply is
 * sent (options.survey): CORE_EV_ENDED -> UPDATE (finished, unsurveyed, with the reply), SURVEY;
 * CORE_EV_SURVEYED -> UPDATE (the reply with what is to be said of it), SETTLE, SEND reply. The
 * reply is never lost by it, nor its message run again: where the survey fails or takes too long,
 * the reply says that instead (the job goes on once its process is gone), and what was cut short by
 * our own end is looked at after the next start, CORE_EV_START -> UPDATE, SURVEY; as often as an
 * attempt would be (max_attempts).
 *
 * Files that an attempt left for people are sent before its answer, each in a post of its own:
 * CORE_EV_ENDED -> UPDATE (finished, unsent, with the reply), GATHER, which puts them out of the
 * next attempt's reach; SEND upload; CORE_EV_SENT -> UPDATE (its id, or why it can't be sent); and
 * with the last one SEND reply, DISCARD. What was cut short goes on after the next start where the
 * journal is, so a file goes twice only if the daemon died between the server's word and its own
 * commit. Their job may run its next message meanwhile; its replies stay in order.
 *
 * Where the server doesn't hold polls, messages come by the realtime channel (CHANNEL,
 * CORE_EV_PUSHED): one more way to the same tables. What it brings is taken only while nothing can
 * have been missed, as no message may overtake an earlier one of its job: from the plain poll on
 * that is begun when the channel came up. Until then, and where a message doesn't say all, it only
 * makes that poll come at once. While it is up there are plain polls at poll_interval.
 *
 * Where the server asks for idle jobs (CORE_EV_IDLE), each that has been unused for job_idle_ms and
 * has no message here is complete: JOB (leaving), COMPLETE; CORE_EV_COMPLETED -> FORGET_JOB. It is
 * on disk before it is said, and said until there is an answer, under one id; a message that comes
 * before that keeps the job. Its session and its files stay for workspace.retention.
 *
 * A job's conversation, as its program keeps it, is its session: CORE_EV_SESSION -> SESSION; the
 * next attempt of the job goes on with it. An attempt that finds it gone is run once more without
 * it, and the reply says so. */
#pragma once
#include "core/ending.h"
#include "task/progress.h"
#include "task/task.h"
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;

/* The moment of an event. */
struct core_now {
    uint64_t mono_ms;
    int64_t wall_ms;
    uint32_t entropy; /* any 32 random bits, fresh for each event */
};

/* What a server's answer means; see upstream/upstream.h, which classifies. */
enum core_answer {
    CORE_ANSWER_OK,
    CORE_ANSWER_REFUSED,   /* never, for this message */
    CORE_ANSWER_TOO_LARGE, /* maybe a shorter one */
    CORE_ANSWER_CONFLICT,  /* the lease on the job is lost */
    CORE_ANSWER_KEY_REFUSED,
    CORE_ANSWER_BUSY,   /* whole server: wait */
    CORE_ANSWER_DOWN,   /* whole server: not reachable, or not itself */
    CORE_ANSWER_FAILED, /* this request: the server failed at it */
    CORE_ANSWER_DROPPED /* never sent: what it was about is gone */
};

enum core_post {
    CORE_POST_NONE,
    CORE_POST_PROCESSING,
    CORE_POST_PROGRESS,
    CORE_POST_UPLOAD, /* the next of the files that go with a reply */
    CORE_POST_REPLY,
    CORE_POST_ACK,
    CORE_POST_COMPLETE, /* not about a message: CORE_CMD_COMPLETE */
    CORE_POST_COUNT
};

/* Whether messages are to come by the realtime channel, where nobody waits at the server. */
enum core_realtime {
    CORE_REALTIME_OFF,
    CORE_REALTIME_AUTO, /* from the first long poll on that the server didn't hold */
    CORE_REALTIME_ON
};

enum core_event_type {
    CORE_EV_START,   /* the first event, after core_restore() of every row */
    CORE_EV_MESSAGE, /* listed by the poll seq: task, whose ownership passes, cancel_requested */
    CORE_EV_JOB,     /* listed, after its messages: seq, job_id, fence, cancel_requested */
    CORE_EV_POLLED, /* the poll seq is over, after what it listed: answer, retry_after_ms, waited */
    CORE_EV_SENT,   /* a post is over: seq, answer, retry_after_ms; an upload's also attachment_id
                       (NULL: there is none), note (a line on what can't be sent, if this is to be
                       the last word on it; NULL: none), more: files are left after this one, and
                       passed: so many before it have no way, which note says */
    CORE_EV_STARTED,  /* the attempt's program runs: seq */
    CORE_EV_OUTPUT,   /* it printed something: seq */
    CORE_EV_PROGRESS, /* it said what it does: seq, progress */
    CORE_EV_SESSION,  /* it named its session: seq, session, as printed by the task, and runner */
    CORE_EV_FINAL,    /* its result was seen: seq; it is in the ending that comes later */
    CORE_EV_OVERFLOW, /* it printed more than task.output_limit: seq */
    CORE_EV_ENDED,    /* the attempt is over: seq, ending */
    CORE_EV_SURVEYED, /* what it left was looked at: seq, note, NULL: nothing to say; or can't be:
                         failed, and note says so; stuck: nor can the process be ended */
    CORE_EV_CANCEL,   /* the operator's word: job_id; asker, see CORE_CMD_ANSWER */
    CORE_EV_DRAIN,    /* the operator: take nothing new, finish what runs, then exit 0; asker */
    CORE_EV_TERM,     /* TERM or INT: the same; again: stop, leave messages for the next start */
    CORE_EV_QUIT,     /* QUIT: stop without grace for the tasks */
    CORE_EV_CHANNEL,  /* the realtime channel is there, or isn't any more: up */
    CORE_EV_PUSHED,   /* it brought something: task, whose ownership passes, and whole; task NULL:
                         a poll is to say what */
    CORE_EV_IDLE,     /* the server asks which jobs are over */
    /* a COMPLETE is over: seq, answer, retry_after_ms */
    CORE_EV_COMPLETED,
    CORE_EV_ROOM, /* whether the journal's disk has room for more than what is here: tight */
    CORE_EV_TICK, /* core_deadline() came */
    CORE_EVENT_COUNT
};

/* Only the members named beside the type are read. Pointers are borrowed for the call. What comes
 * of a poll that was given up meanwhile is ignored: its cancel may not have been carried out yet.
 */
struct core_event {
    enum core_event_type type;
    uint64_t seq;
    struct task *task;
    const char *job_id;
    uint64_t fence;
    bool cancel_requested;
    enum core_answer answer;
    uint32_t retry_after_ms;
    bool waited;
    bool tight;
    bool failed, stuck;
    bool up;
    bool whole; /* the message says all that a poll would */
    bool more;
    uint32_t passed;
    const char *attachment_id;
    const struct progress *progress;
    const char *session;
    const char *runner; /* that the attempt runs: another one may be in the options by now */
    const struct ending *ending;
    const char *note; /* one paragraph of valid UTF-8, masked */
    uint64_t asker;   /* whose word it is, by the shell's number; 0: nobody waits for an answer */
};

enum core_command_type {
    /* storing; task is valid until the next core_handle() */
    CORE_CMD_INSERT,
    CORE_CMD_UPDATE,
    CORE_CMD_DELETE,
    CORE_CMD_PURGE,   /* tombstones older than wall_ms */
    CORE_CMD_SESSION, /* job_id, runner, session (NULL: forget it), wall_ms: of its last use; the
                         texts are valid until the next core_handle() */
    CORE_CMD_JOB,     /* job_id, fence, wall_ms: of its last use; leaving: it is complete, and the
                         server is to know; the text as above */
    CORE_CMD_FORGET_JOB, /* job_id; as above */
    /* acting; only once what came before is durable */
    CORE_CMD_SPAWN,       /* seq */
    CORE_CMD_KILL,        /* seq, grace_ms: the attempt, or its survey */
    CORE_CMD_SURVEY,      /* seq: look at what its task left, in this life of the daemon or in an
                             earlier one; there is a CORE_EV_SURVEYED */
    CORE_CMD_SETTLE,      /* seq, keep: its survey is over. keep: what it found has been told, in a
                             reply that is on disk, and is not to be told again */
    CORE_CMD_GATHER,      /* seq: what its task has left for people is taken from the job; done
                             already, in an earlier life, it does nothing */
    CORE_CMD_DISCARD,     /* seq: that is over, nothing of it is needed any more */
    CORE_CMD_POLL,        /* seq: the number of this poll; wait_ms, 0: a plain one */
    CORE_CMD_POLL_CANCEL, /* without a CORE_EV_POLLED */
    CORE_CMD_CHANNEL,     /* open: whether the realtime channel is to be there from now on */
    CORE_CMD_SEND,        /* seq, post */
    CORE_CMD_SEND_CANCEL, /* seq: the processing or progress post about it, if it isn't over: then
                             its CORE_EV_SENT follows at once, as of one that was dropped */
    CORE_CMD_COMPLETE,    /* seq: a number for core_leaving(); job_complete_v1 */
    CORE_CMD_ANSWER,      /* asker: the word is taken, and will be heeded after a crash as well */
    CORE_CMD_READY,       /* the first poll succeeded */
    CORE_CMD_NOTE,        /* for the log: level, name, seq (or 0), text */
    CORE_CMD_EXIT         /* code */
};

struct core_command {
    enum core_command_type type;
    uint64_t seq;
    const struct task *task;
    enum core_post post;
    uint32_t grace_ms;
    uint32_t wait_ms;
    bool keep;
    bool open;
    bool leaving;
    uint64_t fence;
    uint64_t asker;
    int64_t wall_ms;
    const char *job_id, *runner, *session;
    int code;
    int level;        /* enum log_level */
    const char *name; /* static */
    char text[160];
};

struct core_commands {
    struct core_command *items;
    size_t len, cap;
};
void core_commands_done(struct core_commands *c);
bool core_command_is_storing(enum core_command_type type);

struct core_options {
    uint32_t max_concurrency;
    uint32_t max_queued;
    uint32_t max_attempts;
    uint32_t poll_ms;          /* how long a long poll may wait */
    uint32_t poll_interval_ms; /* between polls where long ones aren't offered */
    uint32_t start_limit_ms;   /* exit 69 if no poll succeeded by then and nothing runs; 0: never */
    enum core_realtime realtime;
    uint32_t drain_timeout_ms;
    uint32_t task_timeout_ms;
    uint32_t task_idle_timeout_ms;
    uint64_t output_limit_bytes; /* for the words only: the shell counts */
    uint64_t reply_limit_bytes;
    uint64_t memory_bytes; /* for the words only, as the next four */
    uint64_t disk_bytes, cpu_time_ms;
    uint32_t pids, files;
    bool survey;          /* what tasks leave is looked at */
    uint32_t job_idle_ms; /* a job unused for that long is complete */
    uint32_t journal_retention_s;
    uint32_t workspace_retention_s; /* sessions unused for longer are forgotten */
    const char *runner;             /* whose sessions are gone on with; borrowed */
    const char *program;            /* the runner's, for the words; borrowed */
};

/* last_seq: the highest ever given, from the journal. */
struct core *core_new(const struct core_options *options, uint64_t last_seq);
void core_free(struct core *core);
DEFINE_CLEANUP(struct core *, core_free);
/* After a reload. */
void core_set_options(struct core *core, const struct core_options *options);
/* An open message as the journal has it; takes ownership. In order of seq, before CORE_EV_START. */
void core_restore(struct core *core, struct task *task);
/* An acknowledged message that may be listed again. wall_ms: when it was acknowledged. */
void core_restore_tombstone(struct core *core, const char *task_id, int64_t wall_ms);
/* A job's session as the journal has it, before CORE_EV_START; malformed ones are left out. */
void core_restore_session(struct core *core, const char *job_id, const char *runner,
                          const char *session, int64_t wall_ms);
/* A job that is known, as the journal has it, before CORE_EV_START. used_ms: wall, of its last use.
 */
void core_restore_job(struct core *core, const char *job_id, uint64_t fence, int64_t used_ms,
                      bool leaving);

/* Appends to *commands. */
void core_handle(struct core *core, const struct core_event *ev, const struct core_now *now,
                 struct core_commands *commands);
/* When the next CORE_EV_TICK is due, or UINT64_MAX. */
uint64_t core_deadline(const struct core *core);

/* For carrying out commands: NULL if the message is gone. Borrowed until the next core_handle(). */
const struct task *core_task(const struct core *core, uint64_t seq);
/* Whether there are messages of this job here, in whatever state; and whether some of them wait or
 * run, so that CORE_EV_CANCEL has something to stop. */
bool core_has_job(const struct core *core, const char *job_id);
bool core_can_cancel(const struct core *core, const char *job_id);
/* Whether an attempt that was ordered by CORE_CMD_SPAWN is still to be started: it may have been
 * stopped before the order could be carried out. */
bool core_may_spawn(const struct core *core, uint64_t seq);
/* The session that the attempt was ordered to go on with, NULL: none. Borrowed until the next
 * core_handle(). */
const char *core_session(const struct core *core, uint64_t seq);
/* The fence to send with the post for this message that was ordered: the one of that moment, as
 * what a later one goes out with must be stored before. */
uint64_t core_fence(const struct core *core, uint64_t seq);
/* The job that a CORE_CMD_COMPLETE is about, with its fence and the wall time of its last use,
 * which tell this end of the job from a later one; NULL: it isn't over after all. Borrowed until
 * the next core_handle(). */
const char *core_leaving(const struct core *core, uint64_t number, uint64_t *ret_fence,
                         int64_t *ret_used_ms);
/* The progress that a CORE_POST_PROGRESS is to carry; number counts within the attempt. NULL: none
 * any more. Borrowed until the next core_handle(). */
const struct progress *core_progress(const struct core *core, uint64_t seq, uint32_t *ret_number);

/* For status: the counts, and each open message in order of arrival. */
struct core_status {
    bool connected; /* the last word from the server was an answer */
    bool ever_connected;
    bool realtime; /* the channel is up */
    bool draining;
    bool tight;             /* the disk is: no new message is taken */
    uint64_t last_ok_ms;    /* mono, of the last good answer; 0: never */
    uint64_t hold_until_ms; /* no request before that */
    size_t waiting, running, outbox;
    uint32_t slots;
};
void core_status(const struct core *core, struct core_status *ret_status);
typedef void (*core_visit_fn)(const struct task *task, uint64_t started_ms, bool stopping,
                              bool quarantined, const struct progress *progress, void *ctx);
void core_visit(const struct core *core, core_visit_fn fn, void *ctx);
