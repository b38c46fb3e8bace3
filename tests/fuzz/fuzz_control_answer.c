/* What the daemon's admin socket answers to the command line: an object that is well, or a
 * sentence. */
#include "support/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "control/adminclient.h"
#include "control/adminsock.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/utf8.h"

static struct {
    char *dir;
    struct adminsock sock;
    pthread_t thread;
    sem_t served;
    const uint8_t *answer; /* set before a connection is made, read until it was served */
    size_t len;
} world;

/* Sends the answer to each client at once, and takes what it sent after that. */
static void *serve(void *ctx)
{
    int fd;

    (void)ctx;
    while ((fd = accept4(world.sock.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        char bytes[256];

        (void)fd_write_all(fd, world.answer, world.len); /* the client may have had enough */
        (void)shutdown(fd, SHUT_WR);
        while (read(fd, bytes, sizeof bytes) > 0)
            ;
        (void)close(fd);
        (void)sem_post(&world.served);
    }
    return NULL;
}

static void end_world(void)
{
    (void)shutdown(world.sock.fd, SHUT_RDWR);
    (void)pthread_join(world.thread, NULL);
    adminsock_done(&world.sock);
    tempdir_free(world.dir);
}

static void make_world(void)
{
    sigset_t all, before;

    if (world.dir)
        return;
    world.dir = tempdir_new();
    FUZZ_CHECK(adminsock_listen(world.dir, &world.sock, NULL) == 0);
    FUZZ_CHECK(fcntl(world.sock.fd, F_SETFL, 0) == 0); /* blocking */
    FUZZ_CHECK(sem_init(&world.served, 0, 0) == 0);
    (void)sigfillset(&all); /* libFuzzer's alarm is none of the thread's business */
    FUZZ_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    FUZZ_CHECK(pthread_create(&world.thread, NULL, serve, NULL) == 0);
    FUZZ_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)atexit(end_world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(json_free) struct json *request = json_object(), *answer = NULL;
    struct err err = { 0 };
    bool ok = false;
    int r;

    make_world();
    world.answer = data;
    world.len = size;
    json_add_str(request, "verb", "status");
    r = adminclient_call(world.dir, request, 20000, &answer, &err);
    while (sem_wait(&world.served) < 0)
        FUZZ_CHECK(errno == EINTR);
    if (r == 0) {
        FUZZ_CHECK(json_is_object(answer) && json_get_bool(answer, "ok", &ok) == 0 && ok);
        return 0;
    }
    FUZZ_CHECK(!answer && err.text[0] && utf8_is_valid(err.text, strlen(err.text)));
    FUZZ_CHECK(r == -EPROTO || r == -EREMOTEIO || r == -ECONNRESET);
    return 0;
}
