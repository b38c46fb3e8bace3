#include "support/hubmodel.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/cipher.h"
#include "hub/conversation.h"
#include "hub/db.h"
#include "hub/home.h"
#include "hub/inbox.h"
#include "hub/lease.h"
#include "hub/lookout.h"
#include "hub/message.h"
#include "hub/submission.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

static void open_model(struct hubmodel *f)
{
    AUTO_FREE char *key = mem_printf("%s.key", f->path);
    int rc = home_open(f->path, &f->model.db, NULL);

    assert(rc == 0);
    rc = cipher_prepare(f->model.db, key, &f->cipher, NULL);
    assert(rc == 0);
    f->model.cipher = f->cipher;
    rc = conversation_recover(f->model.db);
    assert(rc == 0);
    (void)rc;
    f->model.leases = lease_table_new(f->model.now_ms);
    f->model.lookout = lookout_new();
}

static void close_model(struct hubmodel *f)
{
    db_close(f->model.db);
    cipher_free(f->cipher);
    lease_table_free(f->model.leases);
    lookout_free(f->model.lookout);
}

int hubmodel_setup(void **state)
{
    struct hubmodel *f = mem_new(struct hubmodel);

    if (secret_setup() < 0)
        return -1;
    f->dir = tempdir_new();
    f->path = mem_printf("%s/hub.db", f->dir);
    f->model.now_ms = 1000000;
    f->model.agent_files_max = INT64_MAX;
    f->model.wall_ms = INT64_C(1780000000000);
    open_model(f);
    if (agent_make(f->model.db, "tester", f->model.wall_ms, &f->agent) < 0)
        return -1;
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    *state = f;
    return 0;
}

int hubmodel_teardown(void **state)
{
    struct hubmodel *f = *state;

    close_model(f);
    tempdir_free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

void hubmodel_restart(struct hubmodel *f)
{
    close_model(f);
    open_model(f);
}

void hubmodel_pass_ms(struct hubmodel *f, uint64_t ms)
{
    f->model.now_ms += ms;
    f->model.wall_ms += (int64_t)ms;
}

static void in_transaction(struct hubmodel *f, int (*run)(struct hubmodel *f, void *ctx), void *ctx)
{
    int rc = db_script(f->model.db, "BEGIN");

    assert(rc == 0);
    rc = db_script(f->model.db, run(f, ctx) == 0 ? "COMMIT" : "ROLLBACK");
    assert(rc == 0);
    (void)rc;
}

static int run_sweep(struct hubmodel *f, void *ctx)
{
    struct conversation_sweep *sweep = ctx;

    return sweep->op.run(&sweep->op, &f->model);
}

void hubmodel_sweep(struct hubmodel *f)
{
    struct conversation_sweep sweep;

    conversation_sweep_init(&sweep);
    in_transaction(f, run_sweep, &sweep);
    sweep.op.kept(&sweep.op, &f->model);
}

struct running {
    const struct hubmodel_call *what;
    struct call *call;
};

static int run_handler(struct hubmodel *f, void *ctx)
{
    struct running *r = ctx;
    int rc = r->what->handler(r->call, &f->model);

    assert(rc == 0);
    return r->call->status >= 200 && r->call->status < 300 ? rc : -1;
}

struct call *hubmodel_run(struct hubmodel *f, const struct hubmodel_call *what)
{
    struct call *c = call_new();
    struct running r = { what, c };

    c->target = mem_strdup(what->target);
    c->item = mem_strdup(what->item);
    c->arguments[CALL_BEFORE] = mem_strdup(what->before);
    c->body = mem_strdup(what->body ? what->body : "");
    c->body_len = strlen(c->body);
    c->fence = what->fence;
    c->wait_s = what->wait_s;
    if (what->instance) {
        c->agent = (struct call_agent){ f->agent, mem_strdup("tester") };
        c->instance = mem_strdup(what->instance);
        (void)lease_renew(f->model.leases, f->agent, what->instance, f->model.now_ms,
                          what->wait_s * 1000); /* never full here */
    }
    in_transaction(f, run_handler, &r);
    return c;
}

unsigned hubmodel_status(struct hubmodel *f, const struct hubmodel_call *what)
{
    struct call *c = hubmodel_run(f, what);
    unsigned status = c->status;

    call_free(c);
    return status;
}

static struct json *parse(const char *text)
{
    struct json *root = NULL;
    int rc = json_parse(text, strlen(text), &root, NULL);

    assert(rc == 0);
    (void)rc;
    return root;
}

static void post_prompt(struct hubmodel *f, const struct hubmodel_call *what, char *ret_job,
                        char *ret_message)
{
    struct call *c = hubmodel_run(f, what);
    struct json *root = parse(c->reply);

    assert(c->status == 201);
    if (ret_job)
        snprintf(ret_job, ULID_ID_MAX, "%s", json_get_str(root, "job_id"));
    snprintf(ret_message, ULID_ID_MAX, "%s", json_get_str(root, "message_id"));
    json_free(root);
    call_free(c);
}

void hubmodel_start(struct hubmodel *f, const char *prompt, char *ret_job, char *ret_message)
{
    AUTO_FREE char *body = mem_printf("{\"agent_id\":\"tester\",\"prompt\":\"%s\"}", prompt);
    struct hubmodel_call what = { .handler = conversation_start, .body = body };

    post_prompt(f, &what, ret_job, ret_message);
}

void hubmodel_continue(struct hubmodel *f, const char *job, const char *prompt, char *ret_message)
{
    AUTO_FREE char *body = mem_printf("{\"prompt\":\"%s\"}", prompt);
    struct hubmodel_call what = { .handler = conversation_continue, .target = job, .body = body };

    post_prompt(f, &what, NULL, ret_message);
}

char *hubmodel_poll(struct hubmodel *f, const char *instance, uint32_t wait_s, int64_t *ret_fence)
{
    struct hubmodel_call what = { .handler = inbox_poll, .instance = instance, .wait_s = wait_s };
    struct call *c = hubmodel_run(f, &what);
    struct json *root = c->park ? NULL : parse(c->reply);
    struct buf b = { 0 };
    int64_t fence = 0;

    for (const struct json *job = json_first(json_get(root, "jobs")); job; job = json_next(job)) {
        const struct json *list = json_get(job, "messages");

        if (fence == 0)
            (void)json_get_i64(job, "fence", &fence); /* stays 0 if it is missing */
        for (const struct json *m = json_first(list); m; m = json_next(m))
            buf_printf(&b, "%s ", json_get_str(m, "id"));
    }
    json_free(root);
    call_free(c);
    if (ret_fence)
        *ret_fence = fence;
    return buf_steal(&b);
}

unsigned hubmodel_reply(struct hubmodel *f, const char *instance, uint64_t fence,
                        const char *message, const char *text)
{
    bool error = str_starts_with(text, MESSAGE_ERROR_PREFIX);
    AUTO_FREE char *body = mem_printf(
        "{\"id\":\"msg_%s%s\",\"type\":\"%s\",\"payload\":{\"processed_message_id\":"
        "\"%s\",\"message\":\"%s\"}}",
        instance, message, error ? "system_message_v1" : "assistant_message_v1", message, text);
    struct hubmodel_call what = {
        .handler = submission_post, .body = body, .instance = instance, .fence = fence
    };

    return hubmodel_status(f, &what);
}

unsigned hubmodel_ack(struct hubmodel *f, const char *instance, uint64_t fence, const char *message)
{
    struct hubmodel_call what = {
        .handler = submission_ack, .target = message, .instance = instance, .fence = fence
    };

    return hubmodel_status(f, &what);
}

char *hubmodel_message_status(struct hubmodel *f, const char *message)
{
    struct hubmodel_call what = { .handler = message_get, .target = message };
    struct call *c = hubmodel_run(f, &what);
    struct json *root = parse(c->reply);
    char *status = mem_strdup(json_get_str(root, "status"));

    json_free(root);
    call_free(c);
    return status;
}
