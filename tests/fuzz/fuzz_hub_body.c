/* Bodies of requests to the hub, carried out on a real database: the first byte chooses the
 * handler. MESSAGE and JOB in the input stand for ids that exist. */
#include "support/replay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/artifact.h"
#include "hub/conversation.h"
#include "hub/db.h"
#include "hub/envvar.h"
#include "hub/resource.h"
#include "hub/submission.h"
#include "hub/vault.h"
#include "hub/vaultsecret.h"
#include "support/hubmodel.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/ulid.h"

/* Made by the first input, for all. */
static struct {
    void *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], vault[ULID_ID_MAX];
} world;

static void end_world(void)
{
    (void)hubmodel_teardown(&world.state); /* the program is ending */
}

static void make_vault(struct hubmodel *f)
{
    struct hubmodel_call what = { .handler = vault_create, .body = "{\"name\":\"v\"}" };
    struct call *c = hubmodel_run(f, &what);
    CLEANUP_PTR(json_free) struct json *reply = NULL;

    FUZZ_CHECK(c->status == 201 && json_parse(c->reply, strlen(c->reply), &reply, NULL) == 0);
    snprintf(world.vault, sizeof world.vault, "%s", json_get_str(reply, "id"));
    call_free(c);
}

static struct hubmodel *model(void)
{
    if (!world.state) {
        FUZZ_CHECK(hubmodel_setup(&world.state) == 0);
        hubmodel_start(world.state, "hello", world.job, world.message);
        make_vault(world.state);
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
    static const struct {
        int (*handler)(struct call *c, struct model *m);
        enum { OF_JOB, OF_AGENT, OF_VAULT } target;
    } handlers[] = {
        { submission_post, OF_JOB },
        { conversation_start, OF_JOB },
        { conversation_continue, OF_JOB },
        { agent_create, OF_JOB },
        { agent_patch, OF_AGENT },
        { agent_deploy, OF_AGENT },
        { envvar_create, OF_AGENT },
        { resource_create, OF_AGENT },
        { vault_create, OF_VAULT },
        { vault_patch, OF_VAULT },
        { vaultsecret_create, OF_VAULT },
        { artifact_create_rule, OF_JOB },
        { artifact_create_mcp_config, OF_JOB },
    };
    const char *const targets[] = { world.job, "tester", world.vault };
    struct hubmodel *f = model();
    CLEANUP_PTR(json_free) struct json *reply = NULL;
    struct call *c;
    size_t choice;

    if (size == 0)
        return 0;
    choice = data[0] % ARRAY_SIZE(handlers);
    c = call_new();
    c->body = with_ids(data + 1, size - 1, &c->body_len);
    c->target = mem_strdup(targets[handlers[choice].target]);
    c->agent = (struct call_agent){ f->agent, mem_strdup("tester") };
    c->instance = mem_strdup("fuzzer");
    (void)submission_is_progress(c->body, c->body_len);
    FUZZ_CHECK(db_script(f->model.db, "BEGIN") == 0);
    FUZZ_CHECK(handlers[choice].handler(c, &f->model) == 0); /* no input makes the database fail */
    FUZZ_CHECK(db_script(f->model.db, "ROLLBACK") == 0);
    FUZZ_CHECK(c->status >= 200 && c->status < 500);
    FUZZ_CHECK(json_parse(c->reply, strlen(c->reply), &reply, NULL) == 0);
    FUZZ_CHECK(c->status < 400 || json_get_str(reply, "error"));
    call_free(c);
    return 0;
}
