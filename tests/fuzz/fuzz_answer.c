/* The bytes of an HTTP answer to the daemon: the first byte chooses among poll, submit and
 * acknowledgement, the rest comes from the server's socket. There is one verdict with a sentence
 * unless all is well, a listing only with a poll that is, and times within their bounds. */
#include "support/replay.h"

#include <string.h>

#include "loop/loop.h"
#include "net/http.h"
#include "net/retry_after.h"
#include "support/feeder.h"
#include "upstream/upstream.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/utf8.h"

#define KEY "nairid_01234567"

enum { REQUESTS = 3, TIMEOUT_MS = 20000 };

static struct {
    struct loop *loop;
    struct feeder *feeder;
    struct secret *key;
    struct http *idle; /* keeps libcurl initialised between the others */
} world;

static const struct http_options options = { .user_agent = "fuzzer", .proxy = "" };

static void end_world(void)
{
    http_free(world.idle);
    secret_free(world.key);
    feeder_free(world.feeder);
    loop_free(world.loop);
}

static void make_world(void)
{
    if (world.loop)
        return;
    FUZZ_CHECK(secret_setup() == 0 && loop_new(&world.loop, NULL) == 0);
    FUZZ_CHECK(secret_new(KEY, strlen(KEY), &world.key, NULL) == 0);
    FUZZ_CHECK(http_new(world.loop, &options, &world.idle, NULL) == 0);
    world.feeder = feeder_new(world.loop);
    (void)atexit(end_world);
}

struct seen {
    unsigned request, answers;
};

static void on_answer(const struct upstream_answer *a, void *ctx)
{
    struct seen *seen = ctx;
    bool is_list = seen->request == 0 && a->verdict == UPSTREAM_OK;

    seen->answers++;
    FUZZ_CHECK(a->verdict < UPSTREAM_VERDICT_COUNT && a->text);
    FUZZ_CHECK((a->verdict == UPSTREAM_OK) == (a->text[0] == '\0'));
    FUZZ_CHECK(utf8_is_valid(a->text, strlen(a->text)) && !strstr(a->text, KEY));
    FUZZ_CHECK(a->retry_after_ms <= RETRY_AFTER_MAX_MS);
    FUZZ_CHECK(a->status >= 0 && a->status <= 999);
    FUZZ_CHECK((a->listing != NULL) == is_list);
    if (seen->request == 0)
        FUZZ_CHECK(a->verdict != UPSTREAM_REFUSED && a->verdict != UPSTREAM_TOO_LARGE);
    loop_stop(world.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = { .request = size > 0 ? data[0] % REQUESTS : 0 };
    AUTO_FREE char *url = NULL;
    struct http *http = NULL;
    struct upstream *u = NULL;

    if (size == 0)
        return 0;
    make_world();
    url = mem_printf("http://127.0.0.1:%u", feeder_port(world.feeder));
    feeder_serve(world.feeder, data + 1, size - 1);
    /* its own pool of connections: an input may not depend on the one before */
    FUZZ_CHECK(http_new(world.loop, &options, &http, NULL) == 0);
    FUZZ_CHECK(upstream_new(http,
                            &(struct upstream_options){ .url = url,
                                                        .instance_id = "ccaid_x",
                                                        .key = world.key,
                                                        .timeout_ms = TIMEOUT_MS },
                            &u, NULL) == 0);
    if (seen.request == 0)
        upstream_poll(u, 0, on_answer, &seen);
    else if (seen.request == 1)
        upstream_submit(u, "{}", 7, on_answer, &seen);
    else
        upstream_ack(u, "agm_1", 7, on_answer, &seen);
    loop_run(world.loop);
    FUZZ_CHECK(seen.answers == 1);
    upstream_free(u);
    http_free(http);
    feeder_serve(world.feeder, NULL, 0);
    return 0;
}
