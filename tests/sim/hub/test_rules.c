/* The simulated server has the hub's rules: the same calls are made of it and of the real handlers,
 * at the same times, drawn from seeds; each answer must be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/conversation.h"
#include "hub/db.h"
#include "hub/inbox.h"
#include "hub/lease.h"
#include "hub/submission.h"
#include "sim/sim.h"
#include "support/hubmodel.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

enum { SEEDS = 40, CALLS = 300, WAIT_S = 50 };

struct pair {
    struct hubmodel *hub;
    struct sim sim;
    uint64_t seed;
    uint32_t call;
    uint32_t written; /* messages that exist, in both */
    char messages[MESSAGES][ULID_ID_MAX], jobs[JOBS][ULID_ID_MAX];
};

static const char *const instances[SIDES] = { "a", "b" };

static void differ(const struct pair *p, const char *what)
{
    fail_msg("seed %u, call %u: %s differs", (unsigned)p->seed, p->call, what);
}

/* ---- polls ---- */

static uint32_t index_of(const struct pair *p, const char *message)
{
    uint32_t i = 0;

    while (i < p->written && !str_eq(p->messages[i], message))
        i++;
    assert_true(i < p->written);
    return i;
}

static uint32_t job_index_of(const struct pair *p, const char *job)
{
    uint32_t j = 0;

    while (j < JOBS && !str_eq(p->jobs[j], job))
        j++;
    assert_true(j < JOBS);
    return j;
}

static void read_job(const struct pair *p, const struct json *job, struct listing *l)
{
    uint32_t j = job_index_of(p, json_get_str(job, "id")), last = 0;
    const struct json *messages = json_get(job, "messages");
    int64_t fence = 0;

    l->jobs |= 1U << j;
    assert_int_equal(json_get_i64(job, "fence", &fence), 0);
    l->job[j].fence = (uint64_t)fence;
    l->job[j].cancel_requested = json_get(job, "cancel_requested") != NULL;
    for (const struct json *m = json_first(messages); m; m = json_next(m)) {
        uint32_t i = index_of(p, json_get_str(m, "id"));

        assert_true(i >= last); /* in their order */
        last = i;
        l->messages |= 1U << i;
    }
}

static void compare_listings(const struct pair *p, const struct listing *a, const struct listing *b)
{
    if (a->messages != b->messages)
        differ(p, "which messages are listed");
    if (a->jobs != b->jobs)
        differ(p, "which jobs are listed");
    for (uint32_t j = 0; j < JOBS; j++) {
        if (!(a->jobs & 1U << j))
            continue;
        if (a->job[j].fence != b->job[j].fence)
            differ(p, "a fence");
        if (a->job[j].cancel_requested != b->job[j].cancel_requested)
            differ(p, "a request to stop");
    }
}

/* What an answer that is lost had handed out. */
static void take_back(struct pair *p, const struct call *c, struct request *r,
                      const struct answer *a)
{
    struct db *db = p->hub->model.db;

    assert_int_equal(db_script(db, "BEGIN"), 0);
    assert_int_equal(inbox_return(&p->hub->model, c), 0);
    assert_int_equal(db_script(db, "COMMIT"), 0);
    r->answer = *a;
    server_take_back(&p->sim, r);
}

static void poll(struct pair *p, uint32_t side)
{
    uint32_t wait_s = draw_below(&p->sim.draw, 2) ? WAIT_S : 0;
    struct hubmodel_call what = { .handler = inbox_poll,
                                  .instance = instances[side],
                                  .wait_s = wait_s };
    struct request r = { .side = side, .wait_ms = wait_s * 1000 };
    struct answer answer = { 0 };
    struct call *c = hubmodel_run(p->hub, &what);
    bool answered = server_poll(&p->sim, &r, &answer);
    struct listing real = { 0 };

    if (answered == c->park)
        differ(p, "whether the poll waits");
    if (answered) {
        CLEANUP_PTR(json_free) struct json *root = NULL;

        assert_int_equal(json_parse(c->reply, strlen(c->reply), &root, NULL), 0);
        for (const struct json *j = json_first(json_get(root, "jobs")); j; j = json_next(j))
            read_job(p, j, &real);
        compare_listings(p, &real, &answer.listing);
        if (draw_below(&p->sim.draw, 4) == 0)
            take_back(p, c, &r, &answer);
    }
    call_free(c);
}

/* ---- posts ---- */

static unsigned status_of(enum core_answer answer)
{
    return answer == CORE_ANSWER_OK ? 200 : 409;
}

static unsigned submit(struct pair *p, const struct request *r)
{
    const char *message = p->messages[r->message];
    bool error = r->kind == TASK_REPLY_ERROR;
    const char *type = r->post == CORE_POST_PROCESSING
                           ? "processing_message_v1"
                           : (error ? "system_message_v1" : "assistant_message_v1");
    AUTO_FREE char *body = mem_printf(
        "{\"id\":\"%s_%s%u\",\"type\":\"%s\",\"payload\":{\"processed_message_id\":\"%s\","
        "\"message\":\"%s%s\"}}",
        r->post == CORE_POST_REPLY ? "msg" : "prg", message,
        r->post == CORE_POST_REPLY ? 0 : p->call, type, message,
        error ? "nairid encountered error: " : "", r->text);
    struct hubmodel_call what = {
        .handler = submission_post, .body = body, .instance = instances[r->side], .fence = r->fence
    };

    return hubmodel_status(p->hub, &what);
}

static void post(struct pair *p, uint32_t side)
{
    static const enum core_post posts[] = { CORE_POST_PROCESSING, CORE_POST_REPLY, CORE_POST_REPLY,
                                            CORE_POST_ACK };
    uint32_t message = draw_below(&p->sim.draw, p->written);
    uint64_t fence = p->sim.server.jobs[p->sim.server.messages[message].job].fence;
    char text[] = "words";
    struct request r = { .side = side,
                         .message = message,
                         .post = posts[draw_below(&p->sim.draw, ARRAY_SIZE(posts))],
                         .kind =
                             draw_below(&p->sim.draw, 2) ? TASK_REPLY_ASSISTANT : TASK_REPLY_ERROR,
                         .text = text };
    struct answer answer;
    unsigned status;

    switch (draw_below(&p->sim.draw, 6)) {
    case 0:
        r.fence = 0;
        break;
    case 1:
        r.fence = fence > 1 ? fence - 1 : fence + 1;
        break;
    default:
        r.fence = fence;
        break;
    }
    status = r.post == CORE_POST_ACK
                 ? hubmodel_ack(p->hub, instances[side], r.fence, p->messages[message])
                 : submit(p, &r);
    server_post(&p->sim, &r, &answer);
    if (status != status_of(answer.what))
        differ(p, "the answer to a post");
}

/* ---- the rest ---- */

static void write_message(struct pair *p)
{
    uint32_t job = p->sim.server.messages[p->written].job;
    char *id = p->messages[p->written];

    if (p->jobs[job][0] == '\0')
        hubmodel_start(p->hub, "prompt", p->jobs[job], id);
    else
        hubmodel_continue(p->hub, p->jobs[job], "prompt", id);
    server_prompt(&p->sim, p->written++);
}

static void stop_job(struct pair *p)
{
    uint32_t job = draw_below(&p->sim.draw, p->sim.schedule.jobs);
    struct hubmodel_call what = { .handler = conversation_stop, .target = p->jobs[job] };

    if (p->jobs[job][0] == '\0')
        return;
    assert_int_equal(hubmodel_status(p->hub, &what), 202);
    server_stop_job(&p->sim, job);
}

static void pass_time(struct pair *p)
{
    uint32_t ms = draw_below(&p->sim.draw, 3) ? draw_below(&p->sim.draw, 20 * 1000)
                                              : draw_below(&p->sim.draw, LEASE_MS);

    hubmodel_pass_ms(p->hub, ms);
    p->sim.now_ms += ms;
    if (draw_below(&p->sim.draw, 3) == 0) /* else the sweep is late */
        return;
    hubmodel_sweep(p->hub);
    server_sweep(&p->sim);
}

static void restart(struct pair *p)
{
    hubmodel_restart(p->hub);
    p->sim.server.down_until_ms = p->sim.now_ms;
    server_restart(&p->sim);
}

static void compare_status(const struct pair *p, uint32_t message)
{
    const struct server_message *m = &p->sim.server.messages[message];
    AUTO_FREE char *status = hubmodel_message_status(p->hub, p->messages[message]);
    const char *expected = m->pending ? "pending" : "queued";

    if (m->final)
        expected = m->given_up || m->kind == TASK_REPLY_ERROR ? "failed" : "completed";
    if (!str_eq(status, expected))
        differ(p, "the status of a message");
}

static void call_both(struct pair *p)
{
    uint32_t what = draw_below(&p->sim.draw, 100), side = draw_below(&p->sim.draw, SIDES);

    if (p->written == 0 || (what < 4 && p->written < p->sim.schedule.messages))
        write_message(p);
    else if (what < 45)
        poll(p, side);
    else if (what < 80)
        post(p, side);
    else if (what < 85)
        stop_job(p);
    else if (what < 98)
        pass_time(p);
    else
        restart(p);
}

static void compare(uint64_t seed)
{
    struct pair *p = mem_new(struct pair);
    void *hub = NULL;

    assert_int_equal(hubmodel_setup(&hub), 0);
    p->hub = hub;
    p->seed = seed;
    draw_seed(&p->sim.draw, seed);
    p->sim.schedule = (struct schedule){ .sides = SIDES,
                                         .jobs = draw_between(&p->sim.draw, 1, JOBS),
                                         .messages = MESSAGES,
                                         .leases = true,
                                         .long_polls = true };
    server_init(&p->sim);
    for (uint32_t i = 0; i < MESSAGES; i++)
        p->sim.server.messages[i].taste = TASTE_FINE;
    for (p->call = 0; p->call < CALLS; p->call++) {
        call_both(p);
        for (uint32_t i = 0; i < p->written; i++)
            compare_status(p, i);
    }
    server_done(&p->sim.server);
    agenda_done(&p->sim.agenda);
    hubmodel_teardown(&hub);
    free(p);
}

static void the_simulated_server_answers_as_the_hub_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        compare(seed);
    print_message("report: simulator: %d calls in %d seeds answered as the hub answers them\n",
                  SEEDS * CALLS, SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_simulated_server_answers_as_the_hub_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
