#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "egress/herald.h"
#include "util/cleanup.h"
#include "util/mem.h"

struct fixture {
    struct herald herald;
    int listener;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    f->herald.words = pair[0];
    f->listener = pair[1];
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)close(f->herald.words);
    (void)close(f->listener);
    free(f);
    return 0;
}

static void refuse(struct fixture *f, enum gateway_refusal why, const char *name, uint16_t port,
                   const char *detail)
{
    struct hostname host;

    assert_int_equal(hostname_parse(name, strlen(name), &host, NULL), 0);
    herald_refuse(&f->herald, why, &host, port, detail);
}

/* All that was said so far; the last of it is *ret_last. */
static size_t count_words(struct fixture *f, struct gateway_word *ret_last)
{
    size_t count = 0;

    while (recv(f->listener, ret_last, sizeof *ret_last, MSG_DONTWAIT) == sizeof *ret_last)
        count++;
    assert_int_equal(errno, EAGAIN);
    return count;
}

static void a_place_is_told_once_for_each_reason(void **state)
{
    struct fixture *f = *state;
    struct gateway_word w;

    refuse(f, GATEWAY_NOT_ALLOWED, "a.test", 443, NULL);
    refuse(f, GATEWAY_NOT_ALLOWED, "A.Test.", 443, NULL);
    refuse(f, GATEWAY_NOT_ALLOWED, "a.test", 443, NULL);
    assert_int_equal(count_words(f, &w), 1);
    assert_true(gateway_word_is_sound(&w));
    assert_int_equal(w.why, GATEWAY_NOT_ALLOWED);
    assert_string_equal(w.place, "a.test:443");
    refuse(f, GATEWAY_NOT_ALLOWED, "a.test", 80, NULL);
    refuse(f, GATEWAY_OTHER_NAME, "a.test", 443, "b.test");
    refuse(f, GATEWAY_OTHER_NAME, "a.test", 443, "c.test");
    assert_int_equal(count_words(f, &w), 2);
    assert_int_equal(w.why, GATEWAY_OTHER_NAME);
    assert_string_equal(w.detail, "b.test");
}

static void a_task_that_asks_for_everything_is_told_of_so_often_and_no_more(void **state)
{
    struct fixture *f = *state;
    struct gateway_word w;

    for (int i = 0; i < GATEWAY_REFUSALS_MAX + 10; i++) {
        AUTO_FREE char *name = mem_printf("h%d.test", i);

        refuse(f, GATEWAY_NOT_ALLOWED, name, 443, NULL);
    }
    assert_int_equal(count_words(f, &w), GATEWAY_REFUSALS_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_place_is_told_once_for_each_reason),
        TEST(a_task_that_asks_for_everything_is_told_of_so_often_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
