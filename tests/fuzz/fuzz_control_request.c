/* What a client of the admin socket sends: each line is answered by one JSON object that says
 * whether it went well, in their order, and the connection ends. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "control/adminsock.h"
#include "control/control.h"
#include "loop/loop.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/str.h"

enum { GUARD_MS = 20000 };

static struct {
    char *dir;
    struct loop *loop;
    struct loop_timer *guard, *release;
    struct control *control;
    uint64_t held; /* the number of the request whose answer is */
} world;

static int on_request(const struct json *request, uint64_t number, struct json *answer,
                      struct err *err, void *ctx)
{
    (void)ctx;
    if (str_eq(json_get_str(request, "verb"), "refuse"))
        return err_set(err, -EINVAL, "as you wish");
    json_add(answer, "got", json_copy(request));
    if (!str_eq(json_get_str(request, "verb"), "hold"))
        return 0;
    world.held = number;
    loop_timer_arm(world.release, 0);
    return CONTROL_LATER;
}

static void on_release(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    (void)ctx;
    control_answer(world.control, world.held);
}

static void on_guard(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    (void)ctx;
    FUZZ_CHECK(false); /* no end of the connection in time */
}

static void end_world(void)
{
    control_free(world.control);
    loop_timer_free(world.guard);
    loop_timer_free(world.release);
    loop_free(world.loop);
    tempdir_free(world.dir);
}

static void make_world(void)
{
    if (world.loop)
        return;
    world.dir = tempdir_new();
    FUZZ_CHECK(loop_new(&world.loop, NULL) == 0);
    FUZZ_CHECK(control_new(world.loop, world.dir, on_request, NULL, &world.control, NULL) == 0);
    world.guard = loop_timer_new(world.loop, on_guard, NULL);
    world.release = loop_timer_new(world.loop, on_release, NULL);
    (void)atexit(end_world);
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
        return;
    }
    loop_fd_set(watcher, 0); /* the end; or it was sent away with bytes unread */
    loop_stop(world.loop);
}

static void check_answers(struct buf *got, size_t lines)
{
    size_t count = 0;

    for (char *at = got->data, *end; got->len > 0 && (end = strchr(at, '\n')); at = end + 1) {
        CLEANUP_PTR(json_free) struct json *answer = NULL;
        bool ok = false;

        count++;
        FUZZ_CHECK(json_parse(at, (size_t)(end - at), &answer, NULL) == 0);
        FUZZ_CHECK(json_get_bool(answer, "ok", &ok) == 0);
        FUZZ_CHECK(ok == (json_get(answer, "got") != NULL));
        FUZZ_CHECK(ok == (json_get_str(answer, "error") == NULL));
    }
    FUZZ_CHECK(got->len == 0 || got->data[got->len - 1] == '\n');
    FUZZ_CHECK(count <= lines + 1); /* one more says that a line is too long */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client c = { .fd = -1 };
    struct loop_fd *watcher;
    size_t lines = 0;

    make_world();
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    c.fd = adminsock_connect(world.dir, 1000, NULL);
    FUZZ_CHECK(c.fd >= 0);
    FUZZ_CHECK(fd_write_all(c.fd, data, size) == 0 && shutdown(c.fd, SHUT_WR) == 0);
    watcher = loop_fd_new(world.loop, c.fd, LOOP_READ, on_client, &c);
    loop_timer_arm(world.guard, GUARD_MS);
    loop_run(world.loop);
    loop_timer_stop(world.guard);
    loop_fd_free(watcher);
    (void)close(c.fd);
    if (c.got.data)
        c.got.data[c.got.len] = '\0';
    check_answers(&c.got, lines);
    buf_done(&c.got);
    return 0;
}
