#include "control/control.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "control/adminsock.h"
#include "loop/loop.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mem.h"

enum {
    REQUEST_MAX = 64 * 1024,
    CLIENTS_MAX = 16,
    STALL_MS = 10 * 1000,
    ACCEPT_PAUSE_MS = 1000,
    CHUNK = 16 * 1024
};

struct client {
    struct client *prev, *next;
    struct control *control;
    int fd;
    struct loop_fd *watcher;
    struct loop_timer *stall; /* armed anew by each whole request and answer, not by each byte */
    struct buf in, out;
    struct buf held; /* the answer to asked, until it may go out */
    uint64_t asked;  /* the number of its request; 0: none is held */
    size_t sent;     /* of out */
    bool no_more;    /* nothing more is read: it ended its side, or sent nonsense */
};

struct control {
    struct loop *loop;
    struct adminsock sock;
    struct loop_fd *watcher;
    struct loop_timer *pause; /* of accepting, while no descriptor is to be had */
    control_fn fn;
    void *ctx;
    struct client *clients;
    size_t client_count;
    uint64_t requests; /* so far */
};

static void client_free(struct client *client)
{
    struct control *c = client->control;

    DL_DELETE(c->clients, client);
    c->client_count--;
    loop_timer_free(client->stall);
    loop_fd_free(client->watcher);
    (void)close(client->fd);
    buf_done(&client->in);
    buf_done(&client->out);
    buf_done(&client->held);
    free(client);
}

/* ---- answers ---- */

static void say(struct buf *out, const struct json *answer)
{
    AUTO_FREE char *text = json_print(answer);

    buf_append_str(out, text);
    buf_append_char(out, '\n');
}

static void say_error(struct buf *out, const char *words)
{
    CLEANUP_PTR(json_free) struct json *answer = json_object();

    json_add_bool(answer, "ok", false);
    json_add_str(answer, "error", words);
    say(out, answer);
}

static void answer_line(struct client *client, const char *line, size_t len)
{
    struct control *c = client->control;
    CLEANUP_PTR(json_free) struct json *request = NULL;
    CLEANUP_PTR(json_free) struct json *answer = json_object();
    struct err err = { 0 };
    int r = json_parse(line, len, &request, &err);

    if (r == 0 && !json_is_object(request))
        r = err_set(&err, -EINVAL, "a request is one JSON object on a line");
    if (r == 0)
        r = c->fn(request, ++c->requests, answer, &err, c->ctx);
    if (r < 0) {
        say_error(&client->out, err.text[0] ? err.text : strerror(-r));
        return;
    }
    json_add_bool(answer, "ok", true);
    say(r == CONTROL_LATER ? &client->held : &client->out, answer);
    client->asked = r == CONTROL_LATER ? c->requests : 0;
}

/* ---- one client ---- */

/* Takes one request out of what was read, if there is one. */
static void take_request(struct client *client)
{
    const char *newline = client->in.len ? memchr(client->in.data, '\n', client->in.len) : NULL;
    size_t len = newline ? (size_t)(newline - client->in.data) : client->in.len;

    if (len > REQUEST_MAX) {
        say_error(&client->out, "a request may have 65536 bytes at most");
        client->no_more = true;
        buf_clear(&client->in);
    } else if (newline) {
        loop_timer_arm(client->stall, STALL_MS);
        answer_line(client, client->in.data, len);
        buf_consume(&client->in, len + 1);
    }
}
static_assert(REQUEST_MAX == 65536, "as in the sentence above");

/* Returns whether all that there was to send is sent. */
static bool flush_out(struct client *client, bool *ret_broken)
{
    *ret_broken = false;
    while (client->sent < client->out.len) {
        ssize_t n = send(client->fd, client->out.data + client->sent,
                         client->out.len - client->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            *ret_broken = errno != EAGAIN;
            return false;
        }
        client->sent += (size_t)n;
    }
    return true;
}

/* Reads a bounded piece. Returns false if the client is gone. */
static bool read_some(struct client *client)
{
    char *room = buf_reserve(&client->in, CHUNK);
    ssize_t n = recv(client->fd, room, CHUNK, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    client->in.len += (size_t)n;
    client->no_more = n == 0;
    return true;
}

/* Sends what there is to send, and sees to it that the rest follows. */
static void go_on(struct client *client)
{
    bool broken;

    if (!flush_out(client, &broken)) {
        if (broken)
            client_free(client);
        else
            loop_fd_set(client->watcher, LOOP_WRITE);
        return;
    }
    if (client->out.len > 0) {
        buf_clear(&client->out);
        client->sent = 0;
        loop_timer_arm(client->stall, STALL_MS);
    }
    if (client->asked > 0) { /* control_answer() goes on, or the client's patience ends */
        loop_fd_set(client->watcher, 0);
    } else if (client->in.len > 0 && memchr(client->in.data, '\n', client->in.len)) {
        loop_fd_set(client->watcher, 0);
        loop_fd_feed(client->watcher, LOOP_READ);
    } else if (client->no_more) {
        client_free(client);
    } else {
        loop_fd_set(client->watcher, LOOP_READ);
    }
}

/* One request a turn, and none before the answer to the one before is sent: so neither a flood of
 * requests nor a client that doesn't read takes more than its share. */
static void on_client(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct client *client = ctx;

    (void)watcher; /* the client's */
    if (client->out.len == 0) {
        if ((events & LOOP_READ) && !client->no_more && client->in.len <= REQUEST_MAX &&
            !read_some(client)) {
            client_free(client);
            return;
        }
        take_request(client);
    }
    go_on(client);
}

void control_answer(struct control *c, uint64_t number)
{
    struct client *client;

    DL_FOREACH (c->clients, client)
        if (number > 0 && client->asked == number) {
            client->asked = 0;
            buf_append(&client->out, client->held.data, client->held.len);
            buf_clear(&client->held);
            go_on(client);
            return;
        }
}

static void on_stall(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    client_free(ctx);
}

static void client_new(struct control *c, int fd)
{
    struct client *client = mem_new(struct client);

    client->control = c;
    client->fd = fd;
    client->watcher = loop_fd_new(c->loop, fd, LOOP_READ, on_client, client);
    client->stall = loop_timer_new(c->loop, on_stall, client);
    loop_timer_arm(client->stall, STALL_MS);
    DL_APPEND(c->clients, client);
    c->client_count++;
}

/* ---- accepting ---- */

/* One try: what doesn't fit into an empty socket at once isn't worth a wait. */
static void send_away(int fd, const char *words)
{
    CLEANUP(buf_done) struct buf out = { 0 };

    say_error(&out, words);
    (void)send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(fd);
}

static bool is_welcome(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    if (peer.uid == geteuid() || peer.uid == 0)
        return true;
    log_warning("control_refused", "uid", LOG_N(peer.uid), "pid", LOG_N(peer.pid));
    return false;
}

static void admit(struct control *c, int fd)
{
    if (!is_welcome(fd))
        send_away(fd, "this daemon answers its own user and root only");
    else if (c->client_count >= CLIENTS_MAX)
        send_away(fd, "too many clients at once: try again");
    else
        client_new(c, fd);
}

static void on_connection(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct control *c = ctx;
    int fd = accept4(c->sock.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0) {
        admit(c, fd);
        return;
    }
    /* a client that went away again, or nothing there after all */
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return;
    /* The connection stays in the queue and would wake us for ever. */
    log_warning("control_accept_failed", "error", strerror(errno));
    loop_fd_set(watcher, 0);
    loop_timer_arm(c->pause, ACCEPT_PAUSE_MS);
}

static void on_pause_over(struct loop_timer *timer, void *ctx)
{
    struct control *c = ctx;

    (void)timer;
    loop_fd_set(c->watcher, LOOP_READ);
}

int control_new(struct loop *loop, const char *dir, control_fn fn, void *ctx,
                struct control **ret_control, struct err *err)
{
    struct adminsock sock;
    struct control *c;
    int r = adminsock_listen(dir, &sock, err);

    if (r < 0)
        return r;
    c = mem_new(struct control);
    c->loop = loop;
    c->sock = sock;
    c->fn = fn;
    c->ctx = ctx;
    c->watcher = loop_fd_new(loop, sock.fd, LOOP_READ, on_connection, c);
    c->pause = loop_timer_new(loop, on_pause_over, c);
    *ret_control = c;
    return 0;
}

void control_free(struct control *c)
{
    struct client *client, *next;

    if (!c)
        return;
    DL_FOREACH_SAFE (c->clients, client, next)
        client_free(client);
    loop_timer_free(c->pause);
    loop_fd_free(c->watcher);
    adminsock_done(&c->sock);
    free(c);
}
