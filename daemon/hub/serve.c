#include "hub/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "hub/address.h"
#include "hub/cipher.h"
#include "hub/conversation.h"
#include "hub/db.h"
#include "hub/home.h"
#include "hub/hub.h"
#include "hub/server.h"
#include "loop/loop.h"
#include "settings/number.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum {
    FILES_BESIDES = 64, /* descriptors that aren't connections */
    PATIENCE_MAX_S = 3600,
    CHECK_IDLE_MAX_MS = 3600 * 1000
};

#define ATTACHMENT_MAX_MAX (UINT64_C(4) << 30)
#define DISK_MAX           (UINT64_C(1024) << 40)
#define SPAN_MAX_MS        (UINT64_C(3650) * 24 * 3600 * 1000)

/* A descriptor for each connection, as far as the hard limit goes; no core files, as those would
 * hold keys. */
static void set_limits(void)
{
    struct rlimit now, core = { 0, 0 };
    rlim_t want = SERVER_CONNECTIONS_MAX + FILES_BESIDES;

    if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur < want) {
        now.rlim_cur = want < now.rlim_max ? want : now.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &now) < 0)
            log_warning("few_files", "error", strerror(errno));
    }
    if (getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_max > 0 && setrlimit(RLIMIT_CORE, &core) < 0)
        log_warning("core_limit_failed", "error", strerror(errno));
}

static void on_signal(struct loop_signal *watcher, int signo, void *ctx)
{
    (void)watcher;
    log_notice("stopping", "signal", sigabbrev_np(signo));
    hub_stop(ctx);
}

static void warn_of_exposure(const struct address *a, const char *text)
{
    if (!address_is_loopback(a))
        log_warning("exposed", "listen", text, "why",
                    "plain HTTP beyond this machine: API keys, prompts and replies can be read on "
                    "the wire; put a TLS proxy in front, or listen on 127.0.0.1");
}

static int run_hub(struct loop *loop, struct hub *hub, const struct address *a, struct err *err)
{
    char text[ADDRESS_TEXT_MAX];
    struct loop_signal *term = loop_signal_new(loop, SIGTERM, on_signal, hub);
    struct loop_signal *interrupt = loop_signal_new(loop, SIGINT, on_signal, hub);
    int rc = 0;

    address_text(a, text);
    warn_of_exposure(a, text);
    log_notice("listening", "listen", text);
    if (printf("ready http://%s\n", text) < 0 || fflush(stdout) != 0)
        rc = err_set(err, -EIO, "write to standard output: %s", strerror(errno));
    else
        loop_run(loop);
    loop_signal_free(term);
    loop_signal_free(interrupt);
    return rc;
}

static int parse_patience(const char *text, struct server_limits *limits, struct err *err)
{
    uint64_t seconds;

    if (!text)
        return 0;
    if (str_to_u64(text, PATIENCE_MAX_S, &seconds) < 0 || seconds == 0)
        return err_set(err, -EINVAL, "'%s' is no patience: want 1 to %d seconds", text,
                       PATIENCE_MAX_S);
    limits->request_ms = (uint32_t)seconds * 1000;
    limits->answer_ms = limits->request_ms * 2;
    return 0;
}

/* Opens the database and what opens its secrets. */
static int open_all(const char *path, const char *key_path, struct db **ret_db,
                    struct cipher **ret_cipher, struct err *err)
{
    CLEANUP_PTR(db_close) struct db *db = NULL;
    AUTO_FREE char *beside = mem_printf("%s.key", path);
    int rc = home_open(path, &db, err);

    if (rc >= 0)
        rc = cipher_prepare(db, key_path ? key_path : beside, ret_cipher, err);
    if (rc < 0)
        return rc;
    *ret_db = TAKE_PTR(db);
    return 0;
}

/* text NULL: *n stays as it is. */
static int parse_number(const char *flag, const char *text, enum table_type type, uint64_t min,
                        uint64_t max, uint64_t *n, struct err *err)
{
    char least[VALUES_TEXT_MAX], most[VALUES_TEXT_MAX];
    uint64_t value;

    if (!text)
        return 0;
    if (number_parse(type, text, &value) < 0)
        return err_set(err, -EINVAL, "--%s wants %s, not '%s'", flag, number_form(type), text);
    if (value < min || value > max)
        return err_set(err, -EINVAL, "--%s wants %s to %s, not '%s'", flag,
                       number_text(least, type, min), number_text(most, type, max), text);
    *n = value;
    return 0;
}

static int parse_options(const struct serve_options *o, struct address *ret_address,
                         struct hub_settings *ret_settings, struct err *err)
{
    struct hub_settings s = hub_settings_default;
    int rc = address_parse(o->listen ? o->listen : SERVE_LISTEN_DEFAULT, ret_address, err);

    if (rc >= 0)
        rc = parse_patience(o->patience, &s.limits, err);
    if (rc >= 0)
        rc = parse_number("attachment-max", o->attachment_max, TABLE_SIZE, 1, ATTACHMENT_MAX_MAX,
                          &s.attachment_max, err);
    if (rc >= 0)
        rc = parse_number("agent-files", o->agent_files, TABLE_SIZE, 1, DISK_MAX,
                          &s.agent_files_max, err);
    if (rc >= 0)
        rc = parse_number("keep-free", o->keep_free, TABLE_SIZE, 0, DISK_MAX, &s.keep_free, err);
    if (rc >= 0)
        rc = parse_number("keep-uploads", o->keep_uploads, TABLE_MS, 1, SPAN_MAX_MS,
                          &s.chores.attachment_unused_ms, err);
    if (rc >= 0)
        rc = parse_number("queue-timeout", o->queue_timeout, TABLE_MS, 0, SPAN_MAX_MS,
                          &s.chores.queue_timeout_ms, err);
    if (rc >= 0)
        rc = parse_number("check-idle", o->check_idle, TABLE_MS, 0, CHECK_IDLE_MAX_MS,
                          &s.check_idle_ms, err);
    *ret_settings = s;
    return rc;
}

static int start_hub(struct loop *loop, struct address *a, const struct serve_options *o,
                     const struct hub_settings *settings, struct cipher **ret_cipher,
                     struct hub **ret_hub, struct err *err)
{
    CLEANUP_PTR(db_close) struct db *db = NULL;
    AUTO_CLOSE int fd = -1;
    int rc = open_all(o->path, o->secrets_key, &db, ret_cipher, err);

    if (rc < 0)
        return rc;
    rc = conversation_recover(db);
    if (rc < 0)
        return err_set(err, rc, "write the database '%s': %s", o->path, db_error(db));
    rc = address_listen(a, &fd, err);
    if (rc < 0)
        return rc;
    return hub_new(loop, TAKE_PTR(db), *ret_cipher, o->path, TAKE_FD(fd), settings, ret_hub, err);
}

int serve_run(const struct serve_options *o, struct err *err)
{
    CLEANUP_PTR(cipher_free) struct cipher *cipher = NULL;
    struct hub_settings settings;
    struct address address;
    struct loop *loop = NULL;
    struct hub *hub = NULL;
    AUTO_CLOSE int lock = -1;
    int rc = parse_options(o, &address, &settings, err);

    if (rc < 0)
        return rc;
    set_limits();
    (void)signal(SIGPIPE, SIG_IGN); /* a valid signal: can't fail */
    rc = home_make(o->path, err);
    if (rc >= 0)
        rc = home_lock(o->path, &lock, err);
    if (rc >= 0)
        rc = loop_new(&loop, err);
    if (rc >= 0)
        rc = start_hub(loop, &address, o, &settings, &cipher, &hub, err);
    if (rc >= 0)
        rc = run_hub(loop, hub, &address, err);
    hub_free(hub);
    loop_free(loop);
    return rc;
}
