/* The bytes of an HTTP answer to `nairid ask`: one verdict, with a sentence unless all is well, and
 * then an object in which an answer can be looked for. */
#include "support/replay.h"

#include <string.h>

#include "loop/loop.h"
#include "main/clientenv.h"
#include "main/publicapi.h"
#include "main/transcript.h"
#include "net/http.h"
#include "net/retry_after.h"
#include "support/feeder.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"

#define KEY "nr_0123456789"

static struct {
    struct loop *loop;
    struct feeder *feeder;
    struct clientenv client;
    struct http *idle; /* keeps libcurl initialised between the others */
} world;

static void end_world(void)
{
    http_free(world.idle);
    clientenv_done(&world.client);
    feeder_free(world.feeder);
    loop_free(world.loop);
}

static void make_world(void)
{
    if (world.loop)
        return;
    FUZZ_CHECK(secret_setup() == 0 && loop_new(&world.loop, NULL) == 0);
    world.feeder = feeder_new(world.loop);
    world.client.url = mem_printf("http://127.0.0.1:%u", feeder_port(world.feeder));
    FUZZ_CHECK(secret_new(KEY, strlen(KEY), &world.client.key, NULL) == 0);
    FUZZ_CHECK(http_new(world.loop, &(struct http_options){ .user_agent = "fuzzer", .proxy = "" },
                        &world.idle, NULL) == 0);
    (void)atexit(end_world);
}

static void on_answer(const struct publicapi_answer *a, void *ctx)
{
    unsigned *answers = ctx;

    ++*answers;
    FUZZ_CHECK(a->verdict <= PUBLICAPI_DOWN && a->text);
    FUZZ_CHECK((a->verdict == PUBLICAPI_OK) == (a->text[0] == '\0'));
    FUZZ_CHECK(a->retry_after_ms <= RETRY_AFTER_MAX_MS);
    if (a->verdict == PUBLICAPI_OK) {
        struct transcript t;

        FUZZ_CHECK(json_is_object(a->body));
        (void)transcript_last_question(a->body);
        transcript_read(a->body, "m1", &t);
        transcript_done(&t);
    }
    loop_stop(world.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct publicapi *api = NULL;
    unsigned answers = 0;

    make_world();
    feeder_serve(world.feeder, data, size);
    FUZZ_CHECK(publicapi_new(world.loop, &world.client, &api, NULL) == 0);
    publicapi_call(api, "GET", "/messages/m1", NULL, on_answer, &answers);
    loop_run(world.loop);
    FUZZ_CHECK(answers == 1);
    publicapi_free(api);
    feeder_serve(world.feeder, NULL, 0);
    return 0;
}
