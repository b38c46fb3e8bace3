/* A task whose sandbox was made before it, and dies: it begins anew as long as nothing of it has
 * run, and never after that. Process 1 is told here what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/apply.h"
#include "sandbox/plan.h"
#include "spawner/escort.h"
#include "spawner/pool.h"
#include "spawner/ward.h"
#include "support/profiles.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/strv.h"

enum { WAIT_MS = 30000, EXIT_CODE = 7 };

/* How far a process 1 gets before it is killed; a new one as well. */
enum life {
    UNHEARD, /* it has ended before APPLY_SURE is sent */
    UNREAD,  /* that word waits for it */
    SURE,    /* it has heard it */
    SERVED,  /* it has a listener served */
    BEGUN,   /* it is about to run the program */
    STARTED, /* which runs */
    FAILED,  /* it told why it can't run it */
    WHOLE,   /* the program ends by itself */
};

struct world {
    enum life first, second;
    bool is_stale;   /* the host has changed while it got its task */
    bool cant_start; /* another one */
    int plan_fd;
    unsigned starts; /* of another one */
    unsigned given_up, broken;
    bool has_stdio; /* the new one, the task's own */
};

struct fixture {
    struct world world;
    struct pool pool;
    struct ward_means means;
    uint64_t group_count;
    struct ward *w;
    int fds[4];
};
static struct world *current; /* what these can't be given */

const struct plan_ground *__wrap_apply_ground(const struct apply *a);
int __wrap_apply_start(const struct apply *a, const struct plan *plan, const int stdio[3],
                       struct apply_cgroup cgroup, struct apply_task *ret_task,
                       struct apply_report *ret_report);
int __wrap_apply_hand_over(const struct apply_task *task, const struct plan *shared,
                           const struct plan *plan, int plan_fd, const int stdio[3], bool limited);
const struct filter *__wrap_apply_egress_filter(const struct apply *a);
bool __wrap_pool_take(struct pool *p, const struct plan *plan, struct apply_task *ret_task,
                      uint64_t *ret_group);
bool __wrap_pool_is_current(struct pool *p);
void __wrap_pool_give_up(struct pool *p, struct apply_task *task, uint64_t group, bool broken);
int __wrap_escort_new(const struct plan *plan, const struct filter *filter, gateway_fn run,
                      int listener, int keys, const struct escort_ops *ops, void *ctx,
                      struct escort **ret_escort, struct err *err);
void __wrap_escort_kill(struct escort *e);
bool __wrap_escort_is_reaped(const struct escort *e);
void __wrap_escort_free(struct escort *e);

/* ---- a process 1 ---- */

static void report(int control, enum apply_kind kind, int status)
{
    const struct apply_report r = {
        .kind = kind, .stage = APPLY_EXEC, .error = -ENOEXEC, .status = status
    };

    (void)send(control, &r, sizeof r, MSG_NOSIGNAL);
}

_Noreturn static void live(int control, int plan_fd, enum life until, bool is_new)
{
    const struct apply_report listening = { .kind = APPLY_LISTENING };
    struct pollfd fd = { .fd = control, .events = POLLIN };
    char word;

    if (!is_new && until > UNHEARD)
        (void)poll(&fd, 1, WAIT_MS);
    if (!is_new && until > UNREAD)
        (void)recv(control, &word, 1, 0);
    if (until == SERVED)
        (void)fd_send(control, &listening, sizeof listening, &control, 1);
    if (until == FAILED)
        report(control, APPLY_FAILED, 0);
    if (until >= BEGUN && until != FAILED && !is_new)
        (void)lseek(plan_fd, 1, SEEK_SET);
    if (until >= STARTED && until != FAILED)
        report(control, APPLY_STARTED, 0);
    if (until == WHOLE) {
        report(control, APPLY_ENDED, EXIT_CODE << 8);
        _exit(0);
    }
    (void)raise(SIGKILL);
    _exit(1);
}

static struct apply_task make(enum life until, bool is_new)
{
    struct apply_task task = APPLY_NO_TASK;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    task.pid = fork();
    assert_true(task.pid >= 0);
    if (task.pid == 0) {
        (void)close(pair[0]);
        live(pair[1], current->plan_fd, until, is_new);
    }
    (void)close(pair[1]);
    task.control = pair[0];
    assert_int_equal(fd_set_nonblock(task.control), 0);
    task.pidfd = (int)syscall(SYS_pidfd_open, task.pid, 0);
    assert_true(task.pidfd >= 0);
    return task;
}

static void await_end(int pidfd)
{
    struct pollfd fd = { .fd = pidfd, .events = POLLIN };

    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
}

/* ---- what a ward asks others for ---- */

const struct plan_ground *__wrap_apply_ground(const struct apply *a)
{
    static const struct plan_ground all;

    (void)a;
    return &all;
}

const struct filter *__wrap_apply_egress_filter(const struct apply *a)
{
    (void)a;
    return NULL;
}

int __wrap_apply_start(const struct apply *a, const struct plan *plan, const int stdio[3],
                       struct apply_cgroup cgroup, struct apply_task *ret_task,
                       struct apply_report *ret_report)
{
    (void)a;
    (void)cgroup;
    assert_non_null(plan);
    current->starts++;
    current->has_stdio = true;
    for (int i = 0; i < 3; i++)
        current->has_stdio &= fcntl(stdio[i], F_GETFD) >= 0;
    if (current->cant_start) {
        *ret_report =
            (struct apply_report){ .kind = APPLY_FAILED, .stage = APPLY_CLONE, .error = -EAGAIN };
        return -EAGAIN;
    }
    *ret_task = make(current->second, true);
    return 0;
}

bool __wrap_pool_take(struct pool *p, const struct plan *plan, struct apply_task *ret_task,
                      uint64_t *ret_group)
{
    (void)p;
    (void)plan;
    *ret_task = make(current->first, false);
    *ret_group = 1;
    return true;
}

int __wrap_apply_hand_over(const struct apply_task *task, const struct plan *shared,
                           const struct plan *plan, int plan_fd, const int stdio[3], bool limited)
{
    (void)shared;
    (void)plan;
    (void)stdio;
    (void)limited;
    assert_int_equal(plan_fd, current->plan_fd);
    if (current->first == UNHEARD)
        await_end(task->pidfd);
    return 0;
}

bool __wrap_pool_is_current(struct pool *p)
{
    (void)p;
    return !current->is_stale;
}

void __wrap_pool_give_up(struct pool *p, struct apply_task *task, uint64_t group, bool broken)
{
    (void)p;
    (void)group;
    current->given_up++;
    current->broken += broken;
    (void)close(task->control);
    (void)syscall(SYS_pidfd_send_signal, task->pidfd, SIGKILL, NULL, 0); /* it may have ended */
    (void)waitpid(task->pid, NULL, 0);
    (void)close(task->pidfd);
}

/* There is nothing of it but that it is there. */
static char escort[1];

int __wrap_escort_new(const struct plan *plan, const struct filter *filter, gateway_fn run,
                      int listener, int keys, const struct escort_ops *ops, void *ctx,
                      struct escort **ret_escort, struct err *err)
{
    (void)plan;
    (void)filter;
    (void)run;
    (void)keys;
    (void)ops;
    (void)ctx;
    (void)err;
    (void)close(listener);
    *ret_escort = (struct escort *)escort;
    return 0;
}

void __wrap_escort_kill(struct escort *e)
{
    (void)e;
}

bool __wrap_escort_is_reaped(const struct escort *e)
{
    (void)e;
    return true;
}

void __wrap_escort_free(struct escort *e)
{
    (void)e;
}

/* ---- a task ---- */

static void serve(const struct gateway *g)
{
    (void)g;
}

static struct plan *make_plan(void)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    struct plan *plan = NULL;
    struct err err = { 0 };
    struct plan_policy policy = { .profile = profiles_get("agent"),
                                  .network = PLAN_NETWORK_ALLOWLIST,
                                  .workspace = "/srv/workspace",
                                  .argv = &argv,
                                  .egress_uid = 1002,
                                  .uid = 1001 };

    strv_add(&argv, "true");
    if (plan_make(&policy, &plan, &err) < 0)
        fail_msg("%s", err.text);
    return plan;
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->means =
        (struct ward_means){ .group_count = &f->group_count, .egress = serve, .pool = &f->pool };
    f->fds[0] = fd_memfile("plan", "plan", 4);
    for (size_t i = 1; i < ARRAY_SIZE(f->fds); i++)
        f->fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(f->fds); i++)
        assert_true(f->fds[i] >= 0);
    f->world = (struct world){ .second = WHOLE, .plan_fd = f->fds[0] };
    assert_int_equal(lseek(f->fds[0], 0, SEEK_SET), 0);
    f->w = ward_new(1);
    f->w->plan = make_plan();
    current = &f->world;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
    ward_free(f->w);
    for (size_t i = 0; i < ARRAY_SIZE(f->fds); i++)
        if (f->fds[i] >= 0)
            (void)close(f->fds[i]);
    current = NULL;
    free(f);
    return 0;
}

/* Until there is news of its end. */
static void reap(struct fixture *f)
{
    while (!f->w->exited_due) {
        await_end(f->w->at.pidfd);
        ward_read(f->w);
        ward_reap(f->w);
    }
}

static void place(struct fixture *f, enum life until)
{
    struct err err = { 0 };

    f->world.first = until;
    if (ward_place(f->w, &f->means, f->fds, &err) < 0)
        fail_msg("%s", err.text);
}

static void run(struct fixture *f, enum life until)
{
    place(f, until);
    reap(f);
}

static void assert_whole(const struct fixture *f)
{
    assert_false(f->w->exit.failed_to_start);
    assert_int_equal(f->w->exit.status, EXIT_CODE << 8);
    for (size_t i = 0; i < ARRAY_SIZE(f->w->again); i++)
        assert_int_equal(f->w->again[i], -1); /* it holds nothing of the task's */
}

/* ---- tests ---- */

static void one_that_lives_is_used_and_no_other_is_made(void **state)
{
    struct fixture *f = *state;

    run(f, WHOLE);
    assert_whole(f);
    assert_true(f->w->exit.warm);
    assert_int_equal(f->world.starts + f->world.given_up, 0);
}

static void who_dies_before_the_last_word_is_replaced_at_once(void **state)
{
    struct fixture *f = *state;

    run(f, UNHEARD);
    assert_whole(f);
    assert_false(f->w->exit.warm);
    assert_int_equal(f->world.starts, 1);
    assert_int_equal(f->world.given_up, 1);
    assert_int_equal(f->world.broken, 1);
}

static void what_is_out_of_date_by_then_is_given_up_and_counts_as_sound(void **state)
{
    struct fixture *f = *state;

    f->world.is_stale = true;
    run(f, WHOLE);
    assert_whole(f);
    assert_false(f->w->exit.warm);
    assert_int_equal(f->world.starts, 1);
    assert_int_equal(f->world.given_up, 1);
    assert_int_equal(f->world.broken, 0);
}

static void who_dies_before_it_begins_is_replaced_once(void **state)
{
    static const enum life early[] = { UNREAD, SURE };

    for (size_t i = 0; i < ARRAY_SIZE(early); i++) {
        struct fixture *f = *state;

        run(f, early[i]);
        assert_whole(f);
        assert_false(f->w->exit.warm);
        assert_true(f->world.has_stdio);
        assert_int_equal(f->world.starts, 1);
        assert_int_equal(f->world.given_up, 0);
        if (i + 1 < ARRAY_SIZE(early)) {
            teardown(state);
            setup(state);
        }
    }
}

static void a_replacement_that_dies_as_well_is_the_end(void **state)
{
    struct fixture *f = *state;

    f->world.second = SURE;
    run(f, SURE);
    assert_int_equal(f->world.starts, 1);
    assert_int_equal(f->w->exit.status, SIGKILL);
}

static void who_may_have_begun_is_not_replaced(void **state)
{
    struct fixture *f = *state;

    run(f, BEGUN);
    assert_int_equal(f->world.starts, 0);
    assert_int_equal(f->w->exit.status, SIGKILL);
    assert_true(f->w->exit.warm);
}

static void nor_is_who_runs(void **state)
{
    struct fixture *f = *state;

    run(f, STARTED);
    assert_int_equal(f->world.starts, 0);
    assert_int_equal(f->w->exit.status, SIGKILL);
}

static void what_it_said_of_its_failure_is_the_answer(void **state)
{
    struct fixture *f = *state;

    run(f, FAILED);
    assert_int_equal(f->world.starts, 0);
    assert_true(f->w->exit.failed_to_start);
    assert_int_equal(f->w->exit.failure, -ENOEXEC);
}

/* With the keys given away there is nothing to begin with. */
static void who_has_its_way_out_is_not_replaced(void **state)
{
    struct fixture *f = *state;

    run(f, SERVED);
    assert_int_equal(f->world.starts, 0);
    assert_int_equal(f->w->exit.status, SIGKILL);
}

static void end_at_once(struct ward *w)
{
    ward_end(w, 0);
}

static void end_with_grace(struct ward *w)
{
    ward_end(w, WAIT_MS);
}

static void whose_end_was_asked_for_is_not_begun_anew(void **state)
{
    static void (*const ends[])(struct ward *) = { end_at_once, end_with_grace, ward_kill };

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        struct fixture *f = *state;

        place(f, SURE);
        ends[i](f->w);
        reap(f);
        assert_int_equal(f->world.starts, 0);
        assert_int_equal(f->w->exit.status, SIGKILL);
        if (i + 1 < ARRAY_SIZE(ends)) {
            teardown(state);
            setup(state);
        }
    }
}

static void a_replacement_that_cannot_be_made_is_told(void **state)
{
    struct fixture *f = *state;

    f->world.cant_start = true;
    run(f, SURE);
    assert_int_equal(f->world.starts, 1);
    assert_true(f->w->exit.failed_to_start);
    assert_int_equal(f->w->exit.failure, -EAGAIN);
    assert_true(ward_is_reaped(f->w));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_lives_is_used_and_no_other_is_made),
        TEST(who_dies_before_the_last_word_is_replaced_at_once),
        TEST(what_is_out_of_date_by_then_is_given_up_and_counts_as_sound),
        TEST(who_dies_before_it_begins_is_replaced_once),
        TEST(a_replacement_that_dies_as_well_is_the_end),
        TEST(who_may_have_begun_is_not_replaced),
        TEST(nor_is_who_runs),
        TEST(what_it_said_of_its_failure_is_the_answer),
        TEST(who_has_its_way_out_is_not_replaced),
        TEST(whose_end_was_asked_for_is_not_begun_anew),
        TEST(a_replacement_that_cannot_be_made_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
