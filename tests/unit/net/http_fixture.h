/* http_fixture.h - what the tests of http.c share: an http over a loop, a scripted server, and a
 * resolver that can hang. */
#pragma once
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "net/http.h"
#include "support/script.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

#define KEY "nairid_very-secret-key"

struct result {
    bool called;
    enum http_outcome outcome;
    int status;
    char type[64], body[256], error[512], header[64];
    size_t body_len;
    uint32_t retry_after_ms;
    int64_t date_ms;
};

struct fixture {
    struct loop *loop;
    struct http *http;
    struct loop_timer *guard;
    struct script *script;
    struct result result, other;
    struct http_call *victim;
    const char *next_url;
};

/* ---- a resolver that hangs ---- */

static sem_t resolver_entered, resolver_gate;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");

    memcpy(&real, &symbol, sizeof real);
    if (node && strcmp(node, "hangs.invalid") == 0) {
        sem_post(&resolver_entered);
        sem_wait(&resolver_gate);
        return EAI_AGAIN;
    }
    if (node && strcmp(node, "unknown.invalid") == 0)
        return EAI_NONAME;
    return real(node, service, hints, ret);
}

/* ---- fixture ---- */

static inline void on_guard(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    (void)ctx;
    fail_msg("no answer in time");
}

static inline void new_http(struct fixture *f, const struct http_options *options)
{
    struct err err = { 0 };

    http_free(f->http);
    f->http = NULL;
    if (http_new(f->loop, options, &f->http, &err) < 0)
        fail_msg("%s", err.text);
}

static inline int setup(void **state)
{
    static struct fixture f;
    struct http_options options = { .user_agent = "nairid/test", .proxy = "" };

    alarm(90); /* should the loop itself hang */
    memset(&f, 0, sizeof f);
    if (loop_new(&f.loop, NULL) < 0)
        return -1;
    new_http(&f, &options);
    f.guard = loop_timer_new(f.loop, on_guard, &f);
    loop_timer_arm(f.guard, 30 * 1000);
    *state = &f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;

    alarm(0);
    http_free(f->http);
    if (f->script)
        script_stop(f->script);
    loop_timer_free(f->guard);
    loop_free(f->loop);
    return 0;
}

static inline void copy_result(const struct http_response *r, struct result *to)
{
    const char *header = http_header(r, "x-test");

    assert_false(to->called);
    to->called = true;
    to->outcome = r->outcome;
    to->status = r->status;
    to->body_len = r->body_len;
    to->retry_after_ms = r->retry_after_ms;
    to->date_ms = r->date_ms;
    (void)snprintf(to->type, sizeof to->type, "%s", r->content_type);
    (void)snprintf(to->body, sizeof to->body, "%s", r->body);
    (void)snprintf(to->error, sizeof to->error, "%s", r->error);
    (void)snprintf(to->header, sizeof to->header, "%s", header ? header : "(none)");
    assert_int_equal(r->body[r->body_len], '\0');
    assert_null(strstr(r->error, KEY));
    assert_int_equal(r->outcome == HTTP_DONE, r->error[0] == '\0');
    assert_int_equal(r->outcome == HTTP_DONE, r->status != 0);
}

static inline void on_done(const struct http_response *r, void *ctx)
{
    struct fixture *f = ctx;

    copy_result(r, &f->result);
    loop_stop(f->loop);
}

static const char *const headers[] = { "Authorization: Bearer " KEY, "Accept: application/json",
                                       NULL };

static inline char *url_of(const struct fixture *f, char buffer[128])
{
    (void)snprintf(buffer, 128, "http://127.0.0.1:%u/path?q=1", script_port(f->script));
    return buffer;
}

static inline struct http_call *start(struct fixture *f, const struct http_request *changes)
{
    char url[128];
    struct http_request request = *changes;

    if (!request.url)
        request.url = url_of(f, url);
    if (!request.method)
        request.method = "GET";
    if (!request.headers)
        request.headers = headers;
    if (!request.timeout_ms)
        request.timeout_ms = 20 * 1000;
    if (!request.max_response_bytes)
        request.max_response_bytes = 1000;
    f->result = (struct result){ 0 };
    return http_start(f->http, &request, on_done, f);
}

static inline const struct result *ask(struct fixture *f, const struct http_request *changes)
{
    assert_non_null(start(f, changes));
    assert_false(f->result.called); /* never from within http_start() */
    loop_run(f->loop);
    assert_true(f->result.called);
    return &f->result;
}

static inline const struct result *get(struct fixture *f)
{
    return ask(f, &(struct http_request){ 0 });
}

#define SERVE(f, ...)                                                                              \
    static const struct script_step steps_[] = { __VA_ARGS__ };                                    \
    (f)->script = script_start(steps_, ARRAY_SIZE(steps_))

#define SEND_TEXT(...)                                                                             \
    {                                                                                              \
        .action = SCRIPT_SEND, .text = (__VA_ARGS__)                                               \
    }
#define STEP(name)                                                                                 \
    {                                                                                              \
        .action = SCRIPT_##name                                                                    \
    }
