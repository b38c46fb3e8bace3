/* The realtime channel as the core uses it: when it is wanted, and what is taken of what it brings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "unit/core/events.h"
#include "util/cleanup.h"
#include "util/mem.h"

static const struct core_options defaults = {
    .max_concurrency = 4,
    .max_queued = 4,
    .max_attempts = 3,
    .poll_ms = 50000,
    .poll_interval_ms = 30000,
    .realtime = CORE_REALTIME_AUTO,
    .drain_timeout_ms = 300000,
    .task_timeout_ms = 3600000,
    .task_idle_timeout_ms = 600000,
    .journal_retention_s = 3600,
    .program = "worker",
};

static struct task *message(const char *job, const char *id)
{
    struct task *t = make(job, id);

    t->payload = mem_strdup("{}");
    return t;
}

static void listed(struct world *w, const char *job, const char *id)
{
    const struct core_event ev = { .type = CORE_EV_MESSAGE,
                                   .seq = w->poll,
                                   .task = message(job, id) };

    tell(w, &ev);
}

static void polled(struct world *w, enum core_answer answer, bool waited)
{
    const struct core_event ev = {
        .type = CORE_EV_POLLED, .seq = w->poll, .answer = answer, .waited = waited
    };

    tell(w, &ev);
}

static void pushed(struct world *w, const char *job, const char *id, bool whole)
{
    const struct core_event ev = { .type = CORE_EV_PUSHED,
                                   .task = id ? message(job, id) : NULL,
                                   .whole = whole };

    tell(w, &ev);
}

static void channel(struct world *w, bool up)
{
    const struct core_event ev = { .type = CORE_EV_CHANNEL, .up = up };

    tell(w, &ev);
}

static void later(struct world *w, uint64_t ms)
{
    w->now.mono_ms += ms;
    w->now.wall_ms += (int64_t)ms;
    simple(w, CORE_EV_TICK);
}

static void begin(struct world *w, enum core_realtime realtime)
{
    struct core_options options = defaults;

    options.realtime = realtime;
    *w = (struct world){ .now = { .mono_ms = 1000, .wall_ms = 1000000000 } };
    w->core = core_new(&options, 0);
    simple(w, CORE_EV_START);
}

static void end(struct world *w)
{
    core_free(w->core);
    core_commands_done(&w->commands);
}

/* To where the server has shown that it doesn't hold polls, and the channel is up and reconciled.
 */
static void come_up(struct world *w)
{
    begin(w, CORE_REALTIME_ON);
    assert_true(find(w, CORE_CMD_CHANNEL)->open);
    polled(w, CORE_ANSWER_OK, false);
    channel(w, true);
    assert_non_null(find(w, CORE_CMD_POLL_CANCEL));
    assert_int_equal(find(w, CORE_CMD_POLL)->wait_ms, 0);
    polled(w, CORE_ANSWER_OK, false);
    assert_null(find(w, CORE_CMD_POLL));
}

static void it_is_wanted_where_the_server_holds_no_polls(void **state)
{
    struct world w;

    (void)state;
    begin(&w, CORE_REALTIME_AUTO);
    assert_null(find(&w, CORE_CMD_CHANNEL));
    polled(&w, CORE_ANSWER_OK, false); /* a plain one shows nothing */
    assert_null(find(&w, CORE_CMD_CHANNEL));
    polled(&w, CORE_ANSWER_OK, true);
    assert_null(find(&w, CORE_CMD_CHANNEL));
    later(&w, 60000);
    polled(&w, CORE_ANSWER_OK, false);
    assert_true(find(&w, CORE_CMD_CHANNEL)->open);
    later(&w, 60000);
    assert_null(find(&w, CORE_CMD_CHANNEL)); /* said once */
    polled(&w, CORE_ANSWER_OK, true);        /* it does by now */
    assert_false(find(&w, CORE_CMD_CHANNEL)->open);
    end(&w);
}

static void it_is_wanted_or_not_as_the_settings_say(void **state)
{
    struct core_options options = defaults;
    struct world w;

    (void)state;
    begin(&w, CORE_REALTIME_OFF);
    polled(&w, CORE_ANSWER_OK, false);
    polled(&w, CORE_ANSWER_OK, false);
    assert_null(find(&w, CORE_CMD_CHANNEL));
    options.realtime = CORE_REALTIME_ON;
    core_set_options(w.core, &options);
    simple(&w, CORE_EV_TICK);
    assert_true(find(&w, CORE_CMD_CHANNEL)->open);
    simple(&w, CORE_EV_DRAIN); /* nothing new is taken */
    assert_false(find(&w, CORE_CMD_CHANNEL)->open);
    end(&w);
}

static void while_it_is_up_plain_polls_come_at_the_interval(void **state)
{
    struct world w;

    (void)state;
    come_up(&w);
    later(&w, 26000);
    assert_null(find(&w, CORE_CMD_POLL));
    later(&w, 8000);
    assert_int_equal(find(&w, CORE_CMD_POLL)->wait_ms, 0);
    polled(&w, CORE_ANSWER_OK, false);
    assert_null(find(&w, CORE_CMD_POLL));
    channel(&w, false); /* who knows what it was to bring */
    assert_int_equal(find(&w, CORE_CMD_POLL)->wait_ms, 0);
    polled(&w, CORE_ANSWER_OK, false);
    assert_int_equal(find(&w, CORE_CMD_POLL)->wait_ms, 50000);
    end(&w);
}

static void what_it_brings_is_run_at_once_and_once(void **state)
{
    struct world w;

    (void)state;
    come_up(&w);
    pushed(&w, "j1", "m1", true);
    assert_non_null(find(&w, CORE_CMD_INSERT));
    assert_non_null(find(&w, CORE_CMD_SPAWN));
    pushed(&w, "j1", "m1", true);
    assert_null(find(&w, CORE_CMD_INSERT));
    later(&w, 40000);
    listed(&w, "j1", "m1"); /* and by the poll */
    assert_null(find(&w, CORE_CMD_INSERT));
    listed(&w, "j2", "m2");
    assert_non_null(find(&w, CORE_CMD_INSERT));
    polled(&w, CORE_ANSWER_OK, false);
    pushed(&w, "j2", "m2", true); /* the other way round */
    assert_null(find(&w, CORE_CMD_INSERT));
    end(&w);
}

static void nothing_is_taken_before_the_reconciling_poll(void **state)
{
    struct world w;

    (void)state;
    begin(&w, CORE_REALTIME_ON);
    channel(&w, true); /* the poll that is under way was begun before */
    pushed(&w, "j1", "m2", true);
    assert_null(find(&w, CORE_CMD_INSERT));
    polled(&w, CORE_ANSWER_OK, false);
    assert_int_equal(find(&w, CORE_CMD_POLL)->wait_ms, 0);
    pushed(&w, "j1", "m3", true);
    assert_null(find(&w, CORE_CMD_INSERT));
    listed(&w, "j1", "m1");
    listed(&w, "j1", "m2");
    polled(&w, CORE_ANSWER_OK, false);
    later(&w, 1000);
    assert_int_equal(find(&w, CORE_CMD_POLL)->wait_ms, 0); /* for m3 */
    listed(&w, "j1", "m3");
    polled(&w, CORE_ANSWER_OK, false);
    pushed(&w, "j1", "m4", true);
    assert_non_null(find(&w, CORE_CMD_INSERT));
    end(&w);
}

static void what_does_not_say_all_makes_a_poll_come_at_once(void **state)
{
    struct world w;

    (void)state;
    come_up(&w);
    later(&w, 2000);
    pushed(&w, "j1", "m1", false);
    assert_null(find(&w, CORE_CMD_INSERT));
    assert_int_equal(find(&w, CORE_CMD_POLL)->wait_ms, 0);
    pushed(&w, "j1", "m2", true); /* it must not overtake m1 */
    assert_null(find(&w, CORE_CMD_INSERT));
    listed(&w, "j1", "m1");
    listed(&w, "j1", "m2");
    polled(&w, CORE_ANSWER_OK, false);
    later(&w, 2000);
    polled(&w, CORE_ANSWER_OK, false);
    later(&w, 2000);
    pushed(&w, NULL, NULL, false); /* something that could not be read */
    assert_int_equal(find(&w, CORE_CMD_POLL)->wait_ms, 0);
    end(&w);
}

static void what_is_left_at_the_server_is_not_overtaken(void **state)
{
    static const char *const jobs[] = { "j1", "j2", "j3", "j4", "j5", "j6", "j7", "j8" };
    static const char *const ids[] = { "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8" };
    struct world w;

    (void)state;
    come_up(&w);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) { /* 4 run, 4 wait: it is full */
        pushed(&w, jobs[i], ids[i], true);
        assert_non_null(find(&w, CORE_CMD_INSERT));
    }
    pushed(&w, "j9", "m9", true);
    assert_null(find(&w, CORE_CMD_INSERT));
    pushed(&w, "j9", "m10", true);
    assert_null(find(&w, CORE_CMD_INSERT));
    end(&w);
}

static void an_answer_that_was_begun_before_does_not_make_it_forgotten(void **state)
{
    struct core_event ev = { .type = CORE_EV_PUSHED, .whole = true };
    struct world w;

    (void)state;
    come_up(&w);
    later(&w, 40000);                /* a plain poll is under way */
    for (size_t i = 0; i < 5; i++) { /* the fifth only waits */
        static const char *const ids[] = { "m1", "m2", "m3", "m4", "m5" };

        ev.task = message(ids[i], ids[i]);
        ev.task->fence = 7;
        tell(&w, &ev);
        assert_non_null(find(&w, CORE_CMD_INSERT));
    }
    polled(&w, CORE_ANSWER_OK, false);
    assert_null(find(&w, CORE_CMD_DELETE));
    end(&w);
}

static void nothing_is_taken_while_it_drains(void **state)
{
    struct world w;

    (void)state;
    come_up(&w);
    simple(&w, CORE_EV_DRAIN);
    pushed(&w, "j1", "m1", true);
    assert_null(find(&w, CORE_CMD_INSERT));
    assert_null(find(&w, CORE_CMD_POLL));
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_wanted_where_the_server_holds_no_polls),
        cmocka_unit_test(it_is_wanted_or_not_as_the_settings_say),
        cmocka_unit_test(while_it_is_up_plain_polls_come_at_the_interval),
        cmocka_unit_test(what_it_brings_is_run_at_once_and_once),
        cmocka_unit_test(nothing_is_taken_before_the_reconciling_poll),
        cmocka_unit_test(what_does_not_say_all_makes_a_poll_come_at_once),
        cmocka_unit_test(what_is_left_at_the_server_is_not_overtaken),
        cmocka_unit_test(an_answer_that_was_begun_before_does_not_make_it_forgotten),
        cmocka_unit_test(nothing_is_taken_while_it_drains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
