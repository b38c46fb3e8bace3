/* Bodies of requests to the hub, carried out on a real database: the first byte chooses the
 * handler. MESSAGE and JOB in the input stand for ids that exist. */
#include "support/replay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/conversation.h"
#include "hub/db.h"
#include "hub/submission.h"
#include "support/hubmodel.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/ulid.h"

/* Made by the first input, for all. */
static struct {
    void *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];
} world;

static void end_world(void)
{
    (void)hubmodel_teardown(&world.state); /* the program is ending */
}

static struct hubmodel *model(void)
{
    if (!world.state) {
        FUZZ_CHECK(hubmodel_setup(&world.state) == 0);
        hubmodel_start(world.state, "hello", world.job, world.message);
        FUZZ_CHECK(atexit(end_world) == 0);
    }
    return world.state;
}

static char *with_ids(const uint8_t *data, size_t size, size_t *ret_len)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    for (size_t i = 0; i < size; i++) {
        if (size - i >= 7 && memcmp(data + i, "MESSAGE", 7) == 0) {
            buf_append_str(&b, world.message);
            i += 6;
        } else if (size - i >= 3 && memcmp(data + i, "JOB", 3) == 0) {
            buf_append_str(&b, world.job);
            i += 2;
        } else {
            buf_append(&b, data + i, 1);
        }
    }
    *ret_len = b.len;
    return buf_steal(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const handlers[])(struct call *, struct model *) = {
        submission_post, conversation_start, conversation_continue, agent_create, agent_patch
    };
    struct hubmodel *f = model();
    CLEANUP_PTR(json_free) struct json *reply = NULL;
    struct call *c;
    size_t choice;

    if (size == 0)
        return 0;
    choice = data[0] % ARRAY_SIZE(handlers);
    c = call_new();
    c->body = with_ids(data + 1, size - 1, &c->body_len);
    c->target = mem_strdup(handlers[choice] == agent_patch ? "tester" : world.job);
    c->agent = (struct call_agent){ f->agent, mem_strdup("tester") };
    c->instance = mem_strdup("fuzzer");
    (void)submission_is_progress(c->body, c->body_len);
    FUZZ_CHECK(db_script(f->model.db, "BEGIN") == 0);
    FUZZ_CHECK(handlers[choice](c, &f->model) == 0); /* no input makes the database fail */
    FUZZ_CHECK(db_script(f->model.db, "ROLLBACK") == 0);
    FUZZ_CHECK(c->status >= 200 && c->status < 500);
    FUZZ_CHECK(json_parse(c->reply, strlen(c->reply), &reply, NULL) == 0);
    FUZZ_CHECK(c->status < 400 || json_get_str(reply, "error"));
    call_free(c);
    return 0;
}
