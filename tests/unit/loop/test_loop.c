#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop/loop.h"
#include "util/err.h"

/* What happened, one letter each, in order. */
struct fixture {
    struct loop *loop;
    char seen[64];
    size_t count;
    struct loop_timer *timer, *other;
    struct loop_fd *fd;
    int pipe[2];
};

static void note(struct fixture *f, char c)
{
    assert_true(f->count + 1 < sizeof f->seen);
    f->seen[f->count++] = c;
    f->seen[f->count] = '\0';
}

static int setup(void **state)
{
    static struct fixture f;
    struct err err = { 0 };

    memset(&f, 0, sizeof f);
    if (loop_new(&f.loop, &err) < 0 || pipe2(f.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_free(f->loop);
    close(f->pipe[0]);
    close(f->pipe[1]);
    return 0;
}

static void stop_on_timer(struct loop_timer *timer, void *ctx)
{
    struct fixture *f = ctx;

    (void)timer;
    note(f, 't');
    loop_stop(f->loop);
}

static void note_turn(struct loop_turn *turn, void *ctx)
{
    (void)turn;
    note(ctx, 'T');
}

static void a_stop_before_the_run_is_not_lost(void **state)
{
    struct fixture *f = *state;

    loop_stop(f->loop);
    loop_run(f->loop); /* would hang */
    f->timer = loop_timer_new(f->loop, stop_on_timer, f);
    loop_timer_arm(f->timer, 0);
    loop_run(f->loop); /* and it is good for one run only */
    assert_string_equal(f->seen, "t");
    loop_timer_free(f->timer);
}

static void arming_again_replaces_the_earlier_arm(void **state)
{
    struct fixture *f = *state;
    uint64_t start_ms = loop_now_ms(f->loop);

    f->timer = loop_timer_new(f->loop, stop_on_timer, f);
    loop_timer_arm(f->timer, 60 * 1000);
    loop_timer_arm(f->timer, 20);
    loop_run(f->loop);
    assert_string_equal(f->seen, "t");
    assert_true(loop_now_ms(f->loop) - start_ms >= 19);
    assert_true(loop_now_ms(f->loop) - start_ms < 30 * 1000);
    loop_timer_free(f->timer);
}

static void note_second(struct loop_timer *timer, void *ctx)
{
    struct fixture *f = ctx;

    (void)timer;
    note(f, '2');
    loop_stop(f->loop);
}

static void busy_then_arm(struct loop_timer *timer, void *ctx)
{
    struct fixture *f = ctx;
    uint64_t start_ms = loop_now_ms(f->loop);

    (void)timer;
    while (loop_now_ms(f->loop) - start_ms < 60)
        ; /* a callback that takes longer than the wait it then asks for */
    loop_timer_arm(f->other, 50);
    note(f, '1');
}

static void a_wait_counts_from_when_it_was_asked_for(void **state)
{
    struct fixture *f = *state;
    uint64_t start_ms = loop_now_ms(f->loop);

    f->timer = loop_timer_new(f->loop, busy_then_arm, f);
    f->other = loop_timer_new(f->loop, note_second, f);
    loop_timer_arm(f->timer, 0);
    loop_run(f->loop);
    assert_string_equal(f->seen, "12");
    assert_true(loop_now_ms(f->loop) - start_ms >= 60 + 49);
    loop_timer_free(f->timer);
    loop_timer_free(f->other);
}

static void free_itself(struct loop_timer *timer, void *ctx)
{
    struct fixture *f = ctx;

    note(f, 'x');
    loop_timer_free(timer);
    loop_timer_arm(f->other, 0);
}

static void a_timer_may_free_itself_in_its_callback(void **state)
{
    struct fixture *f = *state;
    struct loop_timer *timer = loop_timer_new(f->loop, free_itself, f);

    f->other = loop_timer_new(f->loop, stop_on_timer, f);
    loop_timer_arm(timer, 0);
    loop_run(f->loop);
    assert_string_equal(f->seen, "xt");
    loop_timer_free(f->other);
}

static void read_and_free(struct loop_fd *fd, unsigned events, void *ctx)
{
    struct fixture *f = ctx;

    assert_int_equal(events, LOOP_READ);
    note(f, 'r');
    loop_fd_free(fd);
    loop_stop(f->loop);
}

static void a_descriptor_watcher_may_free_itself_in_its_callback(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    (void)loop_fd_new(f->loop, f->pipe[0], LOOP_READ, read_and_free, f);
    loop_run(f->loop);
    assert_string_equal(f->seen, "r");
}

static void note_read(struct loop_fd *fd, unsigned events, void *ctx)
{
    struct fixture *f = ctx;

    (void)fd;
    note(f, events & LOOP_READ ? 'r' : 'w');
    loop_fd_set(fd, 0);
    loop_timer_arm(f->timer, 20);
}

static void a_paused_descriptor_is_silent(void **state)
{
    struct fixture *f = *state;
    struct loop_fd *fd;

    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    f->timer = loop_timer_new(f->loop, stop_on_timer, f);
    fd = loop_fd_new(f->loop, f->pipe[0], LOOP_READ, note_read, f);
    loop_run(f->loop); /* the byte stays unread, and is told only once */
    assert_string_equal(f->seen, "rt");
    loop_fd_set(fd, LOOP_READ);
    loop_run(f->loop);
    assert_string_equal(f->seen, "rtrt");
    loop_fd_free(fd);
    loop_timer_free(f->timer);
}

static void a_new_descriptor_with_an_old_number_is_watched(void **state)
{
    struct fixture *f = *state;
    struct loop_fd *fd = loop_fd_new(f->loop, f->pipe[0], LOOP_READ, note_read, f);
    int number = f->pipe[0];

    f->timer = loop_timer_new(f->loop, stop_on_timer, f);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    loop_run(f->loop);
    loop_fd_set(fd, LOOP_READ);
    loop_fd_free(fd);
    close(f->pipe[0]);
    close(f->pipe[1]);
    assert_int_equal(pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(f->pipe[0], number);
    fd = loop_fd_new(f->loop, f->pipe[0], LOOP_READ, note_read, f);
    assert_int_equal(write(f->pipe[1], "y", 1), 1);
    loop_run(f->loop);
    assert_string_equal(f->seen, "rtrt");
    loop_fd_free(fd);
    loop_timer_free(f->timer);
}

static void note_fed(struct loop_fd *fd, unsigned events, void *ctx)
{
    struct fixture *f = ctx;

    (void)fd;
    assert_int_equal(events, LOOP_READ | LOOP_WRITE);
    note(f, 'f');
    loop_timer_arm(f->timer, 20);
}

static void feed_once(struct loop_turn *turn, void *ctx)
{
    struct fixture *f = ctx;

    (void)turn;
    note(f, 'T');
    if (f->count == 1) {
        loop_fd_feed(f->fd, LOOP_READ);
        loop_fd_feed(f->fd, LOOP_WRITE);
        note(f, '.'); /* not called from within */
    }
}

static void what_is_fed_at_the_end_of_a_turn_has_a_turns_end_after_it(void **state)
{
    struct fixture *f = *state;
    struct loop_turn *turn = loop_turn_new(f->loop, feed_once, f);

    f->timer = loop_timer_new(f->loop, stop_on_timer, f);
    f->fd = loop_fd_new(f->loop, f->pipe[0], 0, note_fed, f);
    loop_run(f->loop);
    assert_string_equal(f->seen, "T.fTt");
    loop_turn_free(turn);
    loop_fd_free(f->fd);
    loop_timer_free(f->timer);
}

static void arm_other(struct loop_timer *timer, void *ctx)
{
    struct fixture *f = ctx;

    (void)timer;
    note(f, 'a');
    loop_timer_arm(f->other, 0);
}

static void a_turns_end_comes_once_after_all_events_of_the_turn(void **state)
{
    struct fixture *f = *state;
    struct loop_turn *turn;
    uint64_t turns = loop_turns(f->loop);

    f->timer = loop_timer_new(f->loop, arm_other, f);
    f->other = loop_timer_new(f->loop, stop_on_timer, f);
    f->fd = loop_fd_new(f->loop, f->pipe[0], LOOP_READ, note_read, f);
    turn = loop_turn_new(f->loop, note_turn, f);
    loop_fd_free(f->fd);
    loop_timer_arm(f->timer, 0);
    loop_run(f->loop);
    assert_string_equal(f->seen, "TaTt");
    assert_int_equal(loop_turns(f->loop) - turns, 2);
    loop_turn_free(turn);
    loop_timer_free(f->timer);
    loop_timer_free(f->other);
}

static void note_signal(struct loop_signal *watcher, int signo, void *ctx)
{
    struct fixture *f = ctx;

    (void)watcher;
    assert_int_equal(signo, SIGUSR1);
    note(f, 's');
    loop_stop(f->loop);
}

static void a_signal_reaches_its_watcher(void **state)
{
    struct fixture *f = *state;
    struct loop_signal *watcher = loop_signal_new(f->loop, SIGUSR1, note_signal, f);

    assert_int_equal(raise(SIGUSR1), 0);
    loop_run(f->loop);
    assert_string_equal(f->seen, "s");
    loop_signal_free(watcher);
}

static void note_wake(struct loop_wake *wake, void *ctx)
{
    struct fixture *f = ctx;

    (void)wake;
    note(f, 'w');
    loop_stop(f->loop);
}

static void *send_wake(void *arg)
{
    loop_wake_send(arg);
    return NULL;
}

static void a_wake_reaches_the_loop_from_another_thread_and_before_the_run(void **state)
{
    struct fixture *f = *state;
    struct loop_wake *wake = loop_wake_new(f->loop, note_wake, f);
    pthread_t thread;

    loop_wake_send(wake);
    loop_wake_send(wake); /* merged with the first */
    loop_run(f->loop);
    assert_string_equal(f->seen, "w");
    assert_int_equal(pthread_create(&thread, NULL, send_wake, wake), 0);
    loop_run(f->loop);
    assert_string_equal(f->seen, "ww");
    assert_int_equal(pthread_join(thread, NULL), 0);
    loop_wake_free(wake);
}

static void a_loop_without_descriptors_says_why_it_cannot_be_made(void **state)
{
    struct loop *loop = NULL;
    struct err err = { 0 };
    struct rlimit old, low;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 0; /* what is open stays open, nothing more can be opened */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_true(loop_new(&loop, &err) < 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_non_null(strstr(err.text, "ulimit -n"));
    assert_null(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_stop_before_the_run_is_not_lost),
        T(arming_again_replaces_the_earlier_arm),
        T(a_wait_counts_from_when_it_was_asked_for),
        T(a_timer_may_free_itself_in_its_callback),
        T(a_descriptor_watcher_may_free_itself_in_its_callback),
        T(a_paused_descriptor_is_silent),
        T(a_new_descriptor_with_an_old_number_is_watched),
        T(what_is_fed_at_the_end_of_a_turn_has_a_turns_end_after_it),
        T(a_turns_end_comes_once_after_all_events_of_the_turn),
        T(a_signal_reaches_its_watcher),
        T(a_wake_reaches_the_loop_from_another_thread_and_before_the_run),
        T(a_loop_without_descriptors_says_why_it_cannot_be_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
