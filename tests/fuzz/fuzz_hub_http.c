/* The bytes of HTTP requests to the hub, which knows one organisation, one agent, one conversation.
 * ORGKEY, AGENTKEY, JOBID and MSGID in them become the real ones. Each starts from the same
 * database. All that our program answers is JSON, and no request makes it fail. */
#include "support/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "hub/address.h"
#include "hub/db.h"
#include "hub/home.h"
#include "hub/hub.h"
#include "hub/key.h"
#include "hub/server.h"
#include "loop/loop.h"
#include "support/hubmodel.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/ulid.h"

enum { GUARD_MS = 20000, DATABASE_MAX = 16 << 20 };

static struct {
    struct loop *loop;
    struct loop_timer *guard;
    void *model; /* holds the directory */
    char *path;
    struct buf database; /* as each input finds it */
    char org_key[KEY_TEXT_MAX], agent_key[KEY_TEXT_MAX];
    char job[ULID_ID_MAX], message[ULID_ID_MAX];
} world;

static void on_guard(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    (void)ctx;
    FUZZ_CHECK(false); /* no end of the connection in time */
}

static void make_key(struct hubmodel *f, enum key_kind kind, int64_t agent, char text[KEY_TEXT_MAX])
{
    struct key_claim claim;
    char id[ULID_ID_MAX];

    key_make(kind, text);
    FUZZ_CHECK(key_parse(text, strlen(text), &claim) == 0);
    FUZZ_CHECK(key_store(f->model.db, &claim, "fuzzer", agent, f->model.wall_ms, id) >= 0);
}

static void end_world(void)
{
    buf_done(&world.database);
    loop_timer_free(world.guard);
    loop_free(world.loop);
    (void)hubmodel_teardown(&world.model);
    free(world.path);
}

static void make_world(void)
{
    struct hubmodel *f;

    if (world.loop)
        return;
    FUZZ_CHECK(hubmodel_setup(&world.model) == 0 && loop_new(&world.loop, NULL) == 0);
    f = world.model;
    world.guard = loop_timer_new(world.loop, on_guard, NULL);
    make_key(f, KEY_ORG, 0, world.org_key);
    make_key(f, KEY_AGENT, f->agent, world.agent_key);
    hubmodel_start(f, "hello", world.job, world.message);
    FUZZ_CHECK(db_script(f->model.db, "PRAGMA wal_checkpoint(TRUNCATE)") == 0);
    FUZZ_CHECK(fd_read_file(f->path, DATABASE_MAX, &world.database, NULL) == 0);
    world.path = mem_printf("%s/other.db", f->dir);
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT, NULL);
    (void)atexit(end_world);
}

static void fill_in(struct buf *b, const uint8_t *data, size_t size)
{
    const struct {
        const char *word, *value;
    } words[] = { { "ORGKEY", world.org_key },
                  { "AGENTKEY", world.agent_key },
                  { "JOBID", world.job },
                  { "MSGID", world.message } };

    for (size_t i = 0; i < size;) {
        size_t k = 0, len = 1;

        while (k < ARRAY_SIZE(words) && (strlen(words[k].word) > size - i ||
                                         memcmp(data + i, words[k].word, strlen(words[k].word))))
            k++;
        if (k < ARRAY_SIZE(words)) {
            buf_append_str(b, words[k].value);
            len = strlen(words[k].word);
        } else {
            buf_append(b, data + i, 1);
        }
        i += len;
    }
}

/* ---- the hub, and one client ---- */

static struct hub *start_hub(struct address *a)
{
    /* half a request is given up soon: nothing more of it is to come */
    static const struct hub_settings settings = {
        .limits = { .request_ms = 20, .answer_ms = 5000, .connections = 10 },
        .attachment_max = 1 << 20,
        .chores = { .queue_timeout_ms = GUARD_MS, .attachment_unused_ms = GUARD_MS }
    };
    static const char *const beside[] = { "", "-wal", "-shm" };
    struct db *db = NULL;
    struct hub *hub = NULL;
    int listen_fd = -1;

    for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
        AUTO_FREE char *path = mem_printf("%s%s", world.path, beside[i]);

        (void)unlink(path); /* of the input before */
    }
    {
        AUTO_CLOSE int fd = open(world.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        FUZZ_CHECK(fd >= 0 && fd_write_all(fd, world.database.data, world.database.len) == 0);
    }
    FUZZ_CHECK(home_open(world.path, &db, NULL) == 0);
    FUZZ_CHECK(address_parse("127.0.0.1:0", a, NULL) == 0);
    FUZZ_CHECK(address_listen(a, &listen_fd, NULL) == 0);
    FUZZ_CHECK(hub_new(world.loop, db, ((struct hubmodel *)world.model)->cipher, world.path,
                       listen_fd, &settings, &hub, NULL) == 0);
    return hub;
}

struct client {
    int fd;
    struct buf got;
};

static void on_client(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct client *c = ctx;
    ssize_t n = recv(c->fd, buf_reserve(&c->got, 65536), 65536, 0);

    (void)events;
    if (n > 0) {
        c->got.len += (size_t)n;
        c->got.data[c->got.len] = '\0';
        return;
    }
    loop_fd_set(watcher, 0);
    loop_stop(world.loop);
}

static bool wait_writable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int r;

    do
        r = poll(&p, 1, GUARD_MS);
    while (r < 0 && errno == EINTR);
    return r == 1 && p.revents == POLLOUT;
}

static void talk(const struct address *a, const struct buf *request, struct client *c)
{
    struct loop_fd *watcher;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* libFuzzer's alarm may interrupt it, and then it goes on by itself */
    FUZZ_CHECK(connect(c->fd, (const struct sockaddr *)&a->sa, a->len) == 0 ||
               (errno == EINTR && wait_writable(c->fd)));
    FUZZ_CHECK(request->len == 0 || fd_write_all(c->fd, request->data, request->len) == 0);
    FUZZ_CHECK(shutdown(c->fd, SHUT_WR) == 0);
    watcher = loop_fd_new(world.loop, c->fd, LOOP_READ, on_client, c);
    loop_timer_arm(world.guard, GUARD_MS);
    loop_run(world.loop);
    loop_timer_stop(world.guard);
    loop_fd_free(watcher);
    (void)close(c->fd);
}

/* ---- what it answered ---- */

/* The first answer: others may follow where several requests came. */
static void check_answer(const struct buf *got)
{
    const char *head = buf_str(got), *end = strstr(head, "\r\n\r\n"), *type, *length;
    CLEANUP_PTR(json_free) struct json *root = NULL;
    unsigned long status, len;

    FUZZ_CHECK(!strstr(head, "the hub can't"));
    if (got->len == 0)
        return; /* nothing that could be answered */
    FUZZ_CHECK(end && str_starts_with(head, "HTTP/1.") && got->len > 12);
    status = strtoul(head + 9, NULL, 10);
    FUZZ_CHECK(status >= 100 && status <= 599);
    type = strcasestr(head, "\r\nContent-Type: application/json");
    length = strcasestr(head, "\r\nContent-Length: ");
    if (!type || type > end || !length || length > end || status < 200)
        return; /* libmicrohttpd's own */
    len = strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
    end += 4;
    if (end[0] == '\0' || strncmp(end, "HTTP/1.", 7) == 0)
        return; /* to a HEAD, or cut short */
    FUZZ_CHECK(status != 500);
    if (len <= got->len - (size_t)(end - head)) {
        FUZZ_CHECK(json_parse(end, len, &root, NULL) == 0);
        FUZZ_CHECK(json_is_object(root) || (json_is_array(root) && status < 400));
        FUZZ_CHECK(status < 400 || json_get_str(root, "error"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf request = { 0 };
    struct client c = { .fd = -1 };
    struct address a;
    struct hub *hub;

    make_world();
    fill_in(&request, data, size);
    hub = start_hub(&a);
    talk(&a, &request, &c);
    hub_free(hub);
    check_answer(&c.got);
    buf_done(&c.got);
    return 0;
}
