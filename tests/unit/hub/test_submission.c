#include "hub/submission.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/db.h"
#include "support/hubmodel.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/ulid.h"

static unsigned say(struct hubmodel *f, const char *type, const char *job, int number,
                    const char *text)
{
    AUTO_FREE char *body = mem_printf("{\"id\":\"msg_%d\",\"type\":\"%s\",\"payload\":{\"job_id\":"
                                      "\"%s\",\"message\":\"%s\",\"reason\":\"x\"}}",
                                      number, type, job, text);
    struct hubmodel_call what = { .handler = submission_post, .body = body, .instance = "one" };

    return hubmodel_status(f, &what);
}

static int64_t count(struct hubmodel *f)
{
    int64_t n = -1;

    assert_int_equal(
        db_get(f->model.db, &n, "SELECT count(*) FROM messages WHERE role = 'system'", ""), 1);
    return n;
}

static void system_messages_have_an_end(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], other[ULID_ID_MAX];

    hubmodel_start(f, "hello", job, message);
    hubmodel_start(f, "hello", other, message);
    for (int i = 0; i < SUBMISSION_SYSTEM_MAX + 10; i++)
        assert_int_equal(say(f, "system_message_v1", job, i, "x"), 200);
    assert_int_equal(count(f), SUBMISSION_SYSTEM_MAX);
    assert_int_equal(say(f, "system_message_v1", other, -1, "x"), 200);
    assert_int_equal(count(f), SUBMISSION_SYSTEM_MAX + 1);
}

static void the_end_of_a_job_is_told_as_often_as_there_is_room(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];

    hubmodel_start(f, "hello", job, message);
    free(hubmodel_poll(f, "one", 0, NULL));
    assert_int_equal(hubmodel_reply(f, "one", 0, message, "done"), 200);
    for (int i = 0; i < SUBMISSION_SYSTEM_MAX + 10; i++)
        assert_int_equal(say(f, "job_complete_v1", job, i, "x"), 200);
    assert_int_equal(count(f), SUBMISSION_SYSTEM_MAX);
}

static void too_long_a_text_is_413(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];
    AUTO_FREE char *text = mem_alloc(SUBMISSION_TEXT_MAX + 2);

    hubmodel_start(f, "hello", job, message);
    memset(text, 'x', SUBMISSION_TEXT_MAX + 1);
    assert_int_equal(say(f, "system_message_v1", job, 1, text), 413);
    text[SUBMISSION_TEXT_MAX] = '\0';
    assert_int_equal(say(f, "system_message_v1", job, 2, text), 200);
    assert_int_equal(count(f), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hubmodel_setup, hubmodel_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(system_messages_have_an_end),
        TEST(the_end_of_a_job_is_told_as_often_as_there_is_room),
        TEST(too_long_a_text_is_413),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
