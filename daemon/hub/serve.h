/* serve.h - `nairi-hub serve`: opens the database, listens, says so, and runs until a signal. */
#pragma once

struct err;

#define SERVE_LISTEN_DEFAULT "127.0.0.1:8420"

/* Texts, NULL for what isn't given. Durations and sizes have their units (values.h). */
struct serve_options {
    const char *listen;         /* as address.h has it; SERVE_LISTEN_DEFAULT */
    const char *patience;       /* seconds for a request to arrive, 1 to 3600; 60 */
    const char *attachment_max; /* size of an attachment, up to 4G; 50M */
    const char *agent_files;    /* of what one agent has uploaded, together, up to 1024T; 10G */
    const char *keep_free;      /* size that attachments leave free on the disk; 256M, 0: none */
    const char *keep_uploads;   /* how long an upload stays that no message refers to; 7d */
    const char *queue_timeout;  /* how long a message waits for an agent; 24h, 0: for ever */
    const char
        *check_idle; /* between questions for idle jobs to one instance, up to 1h; 60s, 0: never */
    const char *secrets_key; /* the file of cipher.h; the database's path and ".key" */
    const char *path;        /* of the database; must be given */
};

/* Prints "ready http://HOST:PORT" on stdout once it can serve. Returns 0 after TERM or INT, or a
 * negative errno: -EINVAL for an option, -EBUSY where another hub or program is in the way, -ENOKEY
 * or -EKEYREJECTED where the secrets in the database can't be opened. */
int serve_run(const struct serve_options *o, struct err *err);
