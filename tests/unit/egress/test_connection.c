/* What one task may move through its proxy, whichever of its connections it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "egress/connection.h"
#include "egress/herald.h"
#include "egress/locals.h"
#include "egress/resolver.h"
#include "egress/rules.h"
#include "egress/wallet.h"
#include "loop/loop.h"
#include "sandbox/gateway.h"
#include "settings/broker.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/strv.h"

enum { ANSWER_BYTES = 1000000, REQUEST_BYTES = 1000, PIECE_BYTES = 64 * 1024, TIMEOUT_MS = 30000 };

static const char answer_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";

/* Says much to whoever asks, once. Returns its port. */
static uint16_t serve(pid_t *ret_pid)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    AUTO_CLOSE int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(listen(listener, 1), 0);
    *ret_pid = fork();
    assert_true(*ret_pid >= 0);
    if (*ret_pid == 0) {
        int fd = accept(listener, NULL, NULL);
        char *much = mem_alloc(ANSWER_BYTES), request[REQUEST_BYTES];
        ssize_t sent = 0;

        memset(much, 'x', ANSWER_BYTES);
        memcpy(much, answer_head, strlen(answer_head));
        if (fd >= 0 && recv(fd, request, sizeof request, 0) > 0)
            for (ssize_t n = 1; n > 0 && sent < ANSWER_BYTES; sent += n)
                n = send(fd, much, (size_t)(ANSWER_BYTES - sent), MSG_NOSIGNAL);
        _exit(0);
    }
    return ntohs(at.sin_port);
}

static void on_closed(void *ctx)
{
    loop_stop(ctx);
}

/* Reads all that comes, in a process of its own, which says how much it was. */
static pid_t ask(const char *request, int *ret_proxy_end, int *ret_said)
{
    int pair[2], said[2];
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe(said), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        uint64_t got = 0;
        char piece[4096];
        ssize_t n;

        (void)close(pair[0]);
        if (fd_write_all(pair[1], request, strlen(request)) < 0)
            _exit(1);
        while ((n = read(pair[1], piece, sizeof piece)) > 0)
            got += (uint64_t)n;
        _exit(write(said[1], &got, sizeof got) != sizeof got);
    }
    (void)close(pair[1]);
    (void)close(said[1]);
    *ret_proxy_end = pair[0];
    *ret_said = said[0];
    return pid;
}

/* One that asks for anything at that port, in the clear. */
static void add_broker(struct broker_list *list, uint16_t port)
{
    struct broker b = { .name = mem_strdup("own"),
                        .upstream = mem_printf("http://127.0.0.1:%u", port),
                        .header = mem_strdup("x-api-key"),
                        .scheme = mem_strdup(""),
                        .requests = 1,
                        .timeout_ms = TIMEOUT_MS,
                        .request_limit_bytes = REQUEST_BYTES,
                        .response_limit_bytes = UINT64_MAX };

    strv_add(&b.methods, "GET");
    strv_add(&b.paths, "/v1/models");
    broker_add(list, &b);
}

static int pack_key(void)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    int fd;

    assert_int_equal(secret_new("a-key-of-ours", strlen("a-key-of-ours"), &key, NULL), 0);
    fd = gateway_pack_keys((const struct secret *const[]){ key }, 1);
    assert_true(fd >= 0);
    return fd;
}

/* How much of the answer arrives where so many bytes are left. refused: what the spawner is told.
 */
static uint64_t fetch(bool by_broker, uint64_t bytes_left, struct gateway_word *refused)
{
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    CLEANUP_PTR(wallet_free) struct wallet *wallet = NULL;
    CLEANUP_PTR(loop_free) struct loop *loop = NULL;
    CLEANUP_PTR(resolver_free) struct resolver *resolver = NULL;
    CLEANUP_PTR(locals_free) struct locals *locals = NULL;
    CLEANUP_PTR(rules_free) struct rules *rules = NULL;
    CLEANUP(strv_done) struct strv hosts = { 0 };
    int words[2], proxy_end, said;
    pid_t server, client;
    uint16_t port = serve(&server);
    AUTO_FREE char *entry = mem_printf("127.0.0.1:%u", port);
    AUTO_FREE char *request =
        by_broker ? mem_strdup("GET /own/v1/models HTTP/1.1\r\nHost: 127.0.0.1:808\r\n\r\n")
                  : mem_printf("GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n", entry, entry);
    struct herald herald = { 0 };
    struct connections all;
    uint64_t got = 0;

    strv_add(&hosts, entry);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, words), 0);
    herald.words = words[0];
    client = ask(request, &proxy_end, &said);
    if (by_broker)
        add_broker(&brokers, port);
    assert_int_equal(wallet_new(&brokers, by_broker ? pack_key() : -1, "", &wallet, NULL), 0);
    assert_int_equal(loop_new(&loop, NULL), 0);
    assert_int_equal(resolver_new(loop, &resolver, NULL), 0);
    assert_int_equal(locals_new(&locals, NULL), 0);
    assert_int_equal(rules_new(&hosts, &rules, NULL), 0);
    all = (struct connections){ .loop = loop,
                                .resolver = resolver,
                                .locals = locals,
                                .rules = rules,
                                .herald = &herald,
                                .brokers = &brokers,
                                .wallet = wallet,
                                .bytes_left = bytes_left,
                                .closed = on_closed,
                                .ctx = loop };
    assert_int_equal(fd_set_nonblock(proxy_end), 0);
    connection_new(&all, proxy_end);
    loop_run(loop);
    assert_int_equal(all.count, 0);
    assert_int_equal(waitpid(client, NULL, 0), client);
    assert_int_equal(read(said, &got, sizeof got), sizeof got);
    assert_int_equal(waitpid(server, NULL, 0), server);
    memset(refused, 0, sizeof *refused);
    (void)recv(words[1], refused, sizeof *refused, MSG_DONTWAIT); /* or there is none */
    assert_int_equal(close(words[0]) | close(words[1]) | close(said), 0);
    return got;
}

static void a_task_that_has_had_all_its_bytes_gets_no_more(void **state)
{
    struct gateway_word refused;
    char text[256];
    uint64_t got;

    (void)state;
    got = fetch(false, ANSWER_BYTES / 2, &refused);
    assert_in_range(got, 1, ANSWER_BYTES / 2);
    assert_int_equal(refused.kind, GATEWAY_REFUSED);
    assert_int_equal(refused.why, GATEWAY_SPENT);
    assert_true(gateway_word_is_sound(&refused));
    gateway_describe(&refused, text, sizeof text);
    assert_non_null(strstr(text, "127.0.0.1:"));
    assert_non_null(strstr(text, "all the bytes"));
}

static void one_that_has_some_left_gets_its_answer(void **state)
{
    struct gateway_word refused;

    (void)state;
    assert_int_equal(fetch(false, ANSWER_BYTES + PIECE_BYTES, &refused), ANSWER_BYTES);
    assert_int_equal(refused.kind, 0);
}

static void what_brokers_pass_counts_among_them(void **state)
{
    struct gateway_word refused;
    char text[256];

    (void)state;
    assert_in_range(fetch(true, ANSWER_BYTES / 2, &refused), 1, ANSWER_BYTES / 2 + PIECE_BYTES);
    assert_int_equal(refused.why, GATEWAY_NO_ANSWER);
    gateway_describe(&refused, text, sizeof text);
    assert_non_null(strstr(text, "as many bytes as a task may"));
    assert_in_range(fetch(true, ANSWER_BYTES + PIECE_BYTES, &refused),
                    ANSWER_BYTES - sizeof answer_head, ANSWER_BYTES + PIECE_BYTES);
    assert_int_equal(refused.kind, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_has_had_all_its_bytes_gets_no_more),
        cmocka_unit_test(one_that_has_some_left_gets_its_answer),
        cmocka_unit_test(what_brokers_pass_counts_among_them),
    };

    if (secret_setup() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
