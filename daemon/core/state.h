/* state.h - what the files of core/ share: the core's own data. Not for others. */
#pragma once
#include "core/attempt.h"
#include "core/core.h"
#include "core/phase.h"
#include "util/backoff.h"
#include "util/hash.h"

#include <sys/queue.h>

enum {
    POSTS_MAX = 8,              /* in flight at once, over all jobs */
    GHOSTS_MAX = 1000,          /* repeated acks waiting at once */
    TEXT_BYTES_MAX = 256 << 20, /* of messages: past that none is taken */
    TOMBSTONES_MAX = 200000,    /* known in memory; the journal has them all */
    LINK_BASE_MS = 1000,        /* first wait after a failure of the server */
    LINK_CAP_MS = 60 * 1000,
    JOB_BASE_MS = 1000, /* first wait after a failure of one post */
    JOB_CAP_MS = 5 * 60 * 1000,
    IDLE_BASE_MS = 250, /* after a long poll that brought nothing at once */
    IDLE_CAP_MS = 30 * 1000,
    RELIST_MS = 1000,           /* between polls that are replaced by plain ones */
    PARKED_MS = 60 * 1000,      /* after a key refusal on a post */
    RESYNC_MS = 10 * 60 * 1000, /* between plain polls, whatever happens */
    PROGRESS_MS = 1000,         /* between progress messages of one job */
    REMARK_MS = 1000,           /* for such a post, once its job has a reply to send */
    HEARTBEAT_MS = 30 * 1000,   /* keeps the leases while draining, when nothing polls */
    FLUSH_MS = 10 * 1000,       /* for the outbox, once nothing runs and we want to go */
    PURGE_MS = 60 * 60 * 1000,
    TIGHT_NOTE_MS = 60 * 1000,     /* between notes that the disk is full */
    START_MS = 60 * 1000,          /* for a sandbox to be built and its program to begin */
    SILENCE_MS = 30 * 1000,        /* after TERM and grace, for the spawner to report the end */
    SURVEY_MS = 15 * 1000,         /* for a survey, which ends itself long before */
    SURVEY_STOP_MS = 2 * 1000,     /* and once it is to be given up */
    FINAL_MS = 10 * 1000,          /* for a program to end by itself once its result was seen */
    GRACE_MS = 5 * 1000,           /* between TERM and KILL */
    STOP_GRACE_MS = 2 * 1000,      /* the same when we are in a hurry */
    REPLY_SHORT_BYTES = 16 * 1024, /* of the shortened reply */
    UPLOADS_MAX = 2,               /* of the posts: they may take long */
    ASIDES_MAX = 4,                /* of the posts: what nobody waits for */
    UPLOAD_TRIES_MAX = 15,         /* that fail alone: some half an hour; then it is left out */
    UNSENT_NOTE_MAX = 2048,
    SESSION_ID_MAX = 128,
    SESSIONS_MAX = 100000,          /* known at once; the one that was put there first goes then */
    SESSIONS_NAMED_MAX = 8,         /* different ones an attempt may name: each costs a commit */
    SESSIONS_PURGE_MAX = 1000,      /* forgotten at one go */
    SESSION_TOUCH_MS = 3600 * 1000, /* how exactly the time of its last use is kept */
    KNOWN_MAX = 100000,             /* jobs; the one that came first goes then */
    LEAVING_MAX = 100               /* jobs that are reported complete at one go */
};
/* Past the time after which it is idle, a job that nobody asks for is forgotten. */
#define KNOWN_MS ((int64_t)30 * 24 * 3600 * 1000)

struct entry {
    struct task *task; /* owned */
    struct job *job;
    struct attempt attempt;
    bool ghost; /* acknowledged earlier, listed again: only the ack is repeated, nothing stored */
    bool processing_due;
    bool resumed;            /* the attempt goes on with the job's session */
    bool retaken;            /* since it began the lease was lost, and is ours again */
    bool session_refused;    /* the attempt named one that was ignored: said once */
    uint32_t sessions_named; /* by the attempt, and taken */
    bool survey_cut;         /* SURVEYED: the survey was told to end */
    uint32_t upload_tries;   /* of the file that is to be sent now */
    uint64_t listed;         /* number of the last poll that listed it */
    struct {
        bool due;
        uint64_t next_ms;
        uint32_t number;
        struct progress *latest; /* owned */
    } progress;
    TAILQ_ENTRY(entry) in_job;     /* by seq */
    TAILQ_ENTRY(entry) in_running; /* attempts that aren't NONE */
    UT_hash_handle by_id, by_seq;
};
TAILQ_HEAD(entries, entry);

struct job {
    char *id;
    uint64_t fence;
    struct entries entries;
    struct entry *posting_entry; /* whose post is in flight */
    enum core_post posting;
    uint64_t posting_fence;
    uint64_t posting_ms; /* since when */
    bool cut;            /* that post is to be given up, for a reply's sake */
    struct backoff backoff;
    uint64_t retry_ms; /* no reply or ack before that */
    bool outgoing;     /* on the list of jobs that may have something to post */
    bool lost;         /* the lease is; what of it still runs is being ended */
    TAILQ_ENTRY(job) in_outgoing;
    UT_hash_handle hh;
};

struct tombstone {
    int64_t wall_ms;
    uint64_t known_ms; /* mono: since when, 0: since before the start */
    UT_hash_handle hh;
    char id[];
};

struct session {
    char *job_id, *runner, *id; /* in the same allocation */
    int64_t wall_ms;            /* of its last use, to the hour */
    SLIST_ENTRY(session) dead;
    UT_hash_handle hh;
};

/* A job that has had messages here; see idle.c. */
struct known {
    char *job_id;          /* owned */
    uint64_t number;       /* for commands, in this life of the daemon */
    uint64_t fence;        /* as of its last message */
    int64_t used_ms;       /* wall, of that message's end */
    uint64_t used_mono_ms; /* 0: in an earlier life */
    bool leaving;          /* that it is complete is on disk, and the server is to know */
    bool posting; /* that is on its way; maybe without effect, as it isn't leaving any more */
    struct backoff backoff;
    uint64_t retry_ms;
    TAILQ_ENTRY(known) in_leaving;
    SLIST_ENTRY(known) dead;
    UT_hash_handle by_id, by_number;
};

/* The connection to the server, as far as decisions go. */
struct link {
    struct backoff backoff;
    uint64_t hold_until_ms;   /* no request starts before */
    uint64_t parked_until_ms; /* no post starts before */
    uint64_t last_ok_ms;
    bool ever_connected, connected;
    uint64_t poll, last_poll; /* number of the poll in flight, 0: none; the last one given */
    bool listing;             /* the poll is answered, and its messages are being handed over */
    uint32_t poll_wait_ms;    /* of the poll in flight */
    uint64_t poll_started_ms, next_poll_ms, next_resync_ms;
    bool resync; /* the next poll is a plain one */
    /* Messages were left at the server: none is taken any more until a plain poll lists them all,
     * as a later one of the same job must not overtake them. */
    bool left_some;
    /* A lease may have been lost since the last plain poll, and what we hold be answered elsewhere:
     * nothing starts before a plain poll has listed what is ours. */
    bool unsure;
    bool key_doubted; /* a post was refused for its key: a poll is to say at once if it's so */
    struct {
        bool wanted, up;
        bool synced; /* a plain poll was begun since it came up, and answered */
    } channel;
    bool unheld;             /* the server answers a long poll at once */
    bool look;               /* a plain poll is to tell what the channel couldn't */
    uint64_t next_relist_ms; /* no poll is replaced by a plain one before */
    bool fruitful;           /* the poll in flight brought something new */
    struct backoff idle;
    uint32_t key_refusals; /* in a row, on polls */
};

struct core {
    struct core_options options;
    uint64_t last_seq;
    struct queue *queue;
    struct entry *by_id, *by_seq;
    struct job *jobs;
    struct tombstone *tombstones;
    struct session *sessions;                         /* by job */
    SLIST_HEAD(dead_sessions, session) dead_sessions; /* freed as the entries of the graveyard */
    struct {
        struct known *by_id, *by_number;
        uint64_t last_number;
        TAILQ_HEAD(leaving, known) leaving;
        SLIST_HEAD(dead_known, known) dead; /* freed as the entries of the graveyard */
    } idle;
    TAILQ_HEAD(outgoing, job) outgoing;
    struct entries running;
    struct entries graveyard;       /* freed at the next event: commands may point at their tasks */
    size_t ghost_count, lost_count; /* entries; jobs */
    uint64_t text_bytes;            /* of the messages held */
    bool tight;                     /* the journal's disk is: nothing new is taken */
    uint64_t next_tight_note_ms;
    uint32_t posts, uploads; /* in flight; the latter are among the former */
    struct {                 /* posts that nobody waits for: processing, progress, complete */
        uint32_t in_flight;  /* among the posts */
        struct backoff backoff;
        uint64_t hold_until_ms; /* none starts before, as the server answers none */
    } aside;
    struct link link;
    struct phase phase;
    uint64_t started_ms;
    uint64_t phase_deadline_ms, flush_deadline_ms, heartbeat_ms;
    uint64_t next_purge_ms;
    struct core_now now;       /* of the event being handled */
    struct core_commands *out; /* of the event being handled */
};

/* core.c */
struct core_command *core_emit(struct core *core, enum core_command_type type);
void core_note(struct core *core, int level, const char *name, uint64_t seq, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void core_store(struct core *core, struct entry *e); /* UPDATE, with the time of change */

/* intake.c: messages in, messages out of the tables */
struct entry *intake_add(struct core *core, struct task *task);
void intake_message(struct core *core, struct task *task, bool cancelled);
/* By the realtime channel. */
void intake_push(struct core *core, struct task *task, bool whole);
bool intake_has_room(const struct core *core); /* for what was left at the server */
void intake_set_tight(struct core *core, bool tight);
void intake_job(struct core *core, const char *job_id, uint64_t fence, bool cancel_requested);
void intake_recover(struct core *core);
/* After a plain poll: what waits here under a lease and wasn't listed is another daemon's. */
void intake_confirm(struct core *core, uint64_t poll);
bool intake_cancel(struct core *core, const char *job_id);
void intake_finish(struct core *core, struct entry *e, enum task_reply_kind kind, char *text);
/* The same, for a reply that is not to be sent yet: intake_tell() adds to it, and lets it go. */
void intake_finish_unsurveyed(struct core *core, struct entry *e, enum task_reply_kind kind,
                              char *text);
void intake_tell(struct core *core, struct entry *e, const char *note);
/* Not ours any more (a message whose reply was taken stays): deleted, its attempt ended. The entry
 * stays in the tables until intake_sweep(). */
void intake_forget(struct core *core, struct entry *e);
/* Drops the job's entries that are over and that neither an attempt nor a post needs, and the job
 * if it has no other: the last thing to do with either. */
void intake_sweep(struct core *core, struct job *job);
void intake_bury(struct core *core, const char *task_id, int64_t wall_ms);
void intake_purge(struct core *core);

/* running.c: attempts */
void running_start(struct core *core);
void running_started(struct core *core, struct entry *e);
void running_progress(struct core *core, struct entry *e, const struct progress *progress);
void running_final(struct core *core, struct entry *e);
void running_ended(struct core *core, struct entry *e, const struct ending *ending);
void running_surveyed(struct core *core, struct entry *e, const struct core_event *ev);
/* At the start: a reply that waits for a look at what its task left, in an earlier life. */
void running_survey_again(struct core *core, struct entry *e);
void running_stop(struct core *core, struct entry *e, enum ending_stop stop, uint32_t grace_ms);
void running_stop_all(struct core *core, uint32_t grace_ms);
size_t running_count(const struct core *core);
/* Ends what passed a limit. False: the spawner is silent. */
bool running_check_limits(struct core *core);
uint64_t running_deadline(const struct core *core);
void running_heartbeat(struct core *core);

/* session.c: conversations to go on with */
void session_restore(struct core *core, const char *job_id, const char *runner, const char *id,
                     int64_t wall_ms);
const char *session_of(const struct core *core,
                       const char *job_id); /* NULL: none of the runner's */
/* By the entry's attempt, which runs that runner. */
void session_named(struct core *core, struct entry *e, const char *runner, const char *id);
void session_touch(struct core *core, const char *job_id); /* it is being used */
void session_forget(struct core *core, const char *job_id);
void session_purge(struct core *core);
void session_empty_graveyard(struct core *core);
void session_done(struct core *core);

/* outbox.c: posts */
void outbox_touch(struct core *core, struct job *job); /* it may have something to post */
void outbox_pump(struct core *core);
void outbox_sent(struct core *core, struct entry *e, const struct core_event *ev);
uint64_t outbox_deadline(const struct core *core);
size_t outbox_size(const struct core *core);         /* replies and acks that wait */
uint64_t outbox_held_until(const struct core *core); /* no post starts before */
/* The server took it, or never will: the same post needn't be made again. */
bool outbox_is_final(enum core_answer answer);
/* One of those that nobody waits for, which leave room for those that somebody does (W17): whether
 * there is place for it, and since when; UINT64_MAX: none. */
uint64_t outbox_aside_from(const struct core *core);
/* What an answer to a post says of the server, and of the key. aside: of such a post, so that its
 * being lost holds up its like alone; what the server says itself counts all the same. */
void outbox_judge(struct core *core, const struct core_event *ev, bool aside);

/* idle.c: jobs that nobody writes to any more */
void idle_init(struct core *core);
void idle_restore(struct core *core, const char *job_id, uint64_t fence, int64_t used_ms,
                  bool leaving);
void idle_recover(struct core *core);                     /* after every row is restored */
void idle_used(struct core *core, const struct job *job); /* a message of it is done with */
void idle_reopen(struct core *core, const char *job_id);  /* there is a new one */
void idle_forget(struct core *core, const char *job_id);  /* it is another daemon's */
void idle_check(struct core *core);                       /* the server asks */
void idle_purge(struct core *core);
void idle_pump(struct core *core);
void idle_completed(struct core *core, const struct core_event *ev);
uint64_t idle_deadline(const struct core *core);
void idle_empty_graveyard(struct core *core);
void idle_done(struct core *core);

/* link.c: polls and the server's health */
void link_init(struct core *core);
void link_pump(struct core *core);
void link_cancel(struct core *core); /* the poll in flight, if there is one */
void link_polled(struct core *core, const struct core_event *ev);
void link_channel(struct core *core, bool up);
void link_ok(struct core *core);
void link_failed(struct core *core, uint32_t retry_after_ms);
uint64_t link_deadline(const struct core *core);
