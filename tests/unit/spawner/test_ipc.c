#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "spawner/ipc.h"

static struct ipc_news some_news(void)
{
    struct ipc_news news;

    memset(&news, 0, sizeof news);
    news.type = IPC_EXITED;
    news.task = 7;
    news.exit.stuck = true;
    news.exit.status = 256;
    (void)strcpy(news.exit.error, "mount /x: no such file");
    return news;
}

static void news_come_as_they_were_sent(void **state)
{
    struct ipc_news news = some_news(), got;

    (void)state;
    assert_int_equal(ipc_read_news(&news, sizeof news, &got), 0);
    assert_memory_equal(&news, &got, sizeof news);
}

static void a_datagram_of_another_length_is_no_news(void **state)
{
    struct ipc_news news = some_news(), got;

    (void)state;
    assert_int_equal(ipc_read_news(&news, sizeof news - 1, &got), -EBADMSG);
    assert_int_equal(ipc_read_news(&news, 0, &got), -EBADMSG);
}

static void orders_and_unknown_types_are_no_news(void **state)
{
    struct ipc_news news = some_news(), got;

    (void)state;
    for (uint32_t type = 0; type <= IPC_EXITED + 1; type++) {
        news.type = type;
        assert_int_equal(ipc_read_news(&news, sizeof news, &got),
                         type == IPC_READY || type == IPC_STARTED || type == IPC_EXITED ? 0
                                                                                        : -EBADMSG);
    }
}

static void a_bool_that_is_none_is_no_news(void **state)
{
    static const size_t places[] = { offsetof(struct ipc_news, exit.failed_to_start),
                                     offsetof(struct ipc_news, exit.not_found),
                                     offsetof(struct ipc_news, exit.stuck),
                                     offsetof(struct ipc_news, exit.oom) };

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct ipc_news news = some_news(), got;

        memset((char *)&news + places[i], 2, 1);
        assert_int_equal(ipc_read_news(&news, sizeof news, &got), -EBADMSG);
    }
}

static void a_limit_that_there_is_not_is_no_news(void **state)
{
    struct ipc_news news = some_news(), got;

    (void)state;
    news.exit.limit = LIMIT_ROOM;
    assert_int_equal(ipc_read_news(&news, sizeof news, &got), 0);
    assert_int_equal(got.exit.limit, LIMIT_ROOM);
    news.exit.limit = LIMIT_COUNT;
    assert_int_equal(ipc_read_news(&news, sizeof news, &got), -EBADMSG);
}

/* What becomes of a failure is decided by its errno. */
static void a_failure_comes_with_its_errno_and_nothing_else_does(void **state)
{
    static const int none[] = { 0, 1, EMFILE, -4096, INT32_MIN };
    struct ipc_news news = some_news(), got;

    (void)state;
    news.exit.failure = -EMFILE;
    assert_int_equal(ipc_read_news(&news, sizeof news, &got), -EBADMSG);
    news.exit.failed_to_start = true;
    assert_int_equal(ipc_read_news(&news, sizeof news, &got), 0);
    assert_int_equal(got.exit.failure, -EMFILE);
    news.type = IPC_READY;
    news.exit.failed_to_start = false;
    assert_int_equal(ipc_read_news(&news, sizeof news, &got), 0);
    news.type = IPC_STARTED;
    assert_int_equal(ipc_read_news(&news, sizeof news, &got), -EBADMSG);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        news.type = IPC_EXITED;
        news.exit.failed_to_start = true;
        news.exit.failure = none[i];
        assert_int_equal(ipc_read_news(&news, sizeof news, &got), -EBADMSG);
    }
}

static void a_text_without_an_end_is_no_news(void **state)
{
    struct ipc_news news = some_news(), got;

    (void)state;
    memset(news.exit.error, 'x', sizeof news.exit.error);
    assert_int_equal(ipc_read_news(&news, sizeof news, &got), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_come_as_they_were_sent),
        cmocka_unit_test(a_datagram_of_another_length_is_no_news),
        cmocka_unit_test(orders_and_unknown_types_are_no_news),
        cmocka_unit_test(a_bool_that_is_none_is_no_news),
        cmocka_unit_test(a_limit_that_there_is_not_is_no_news),
        cmocka_unit_test(a_failure_comes_with_its_errno_and_nothing_else_does),
        cmocka_unit_test(a_text_without_an_end_is_no_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
