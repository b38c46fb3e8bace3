/* A process 1 and its caller, as the spawner is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/apply.h"
#include "sandbox/plan.h"
#include "sandbox/plan_shared.h"
#include "support/profiles.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/strv.h"

enum { WAIT_MS = 30000, TASK_UID = 0x6ffe0000 };

struct fixture {
    char *dir, *workspace, *ran;
    struct apply *apply;
    struct plan *plan, *shared;
    struct apply_task task;
    bool is_given; /* it has the plan */
    int plan_fd, stdio[3];
    unsigned *compiled; /* filters so far, by whatever process */
};
static struct fixture *current; /* what that can't be given */

void *__real_seccomp_init(uint32_t action);
void *__wrap_seccomp_init(uint32_t action);

void *__wrap_seccomp_init(uint32_t action)
{
    (*current->compiled)++;
    return __real_seccomp_init(action);
}

static struct plan *make_plan(const struct fixture *f)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    struct plan *plan = NULL;
    struct err err = { 0 };
    struct plan_policy policy = { .profile = profiles_get("agent"),
                                  .workspace = f->workspace,
                                  .argv = &argv,
                                  .uid = geteuid(),
                                  .task_uid = TASK_UID };

    strv_add(&argv, "sh");
    strv_add(&argv, "-c");
    strv_add(&argv, "echo once >> " PLAN_WORKSPACE "/ran");
    if (plan_make(&policy, &plan, &err) < 0)
        fail_msg("%s", err.text);
    return plan;
}

static int setup(void **state)
{
    CLEANUP(buf_done) struct buf bytes = { 0 };
    struct fixture *f = mem_new(struct fixture);
    struct err err = { 0 };

    current = f;
    f->compiled =
        mmap(NULL, sizeof *f->compiled, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f->compiled != MAP_FAILED);
    f->dir = tempdir_new();
    assert_int_equal(chmod(f->dir, 0755), 0);
    f->workspace = mem_printf("%s/workspace", f->dir);
    f->ran = mem_printf("%s/ran", f->workspace);
    assert_int_equal(mkdir(f->workspace, 0755), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(f->workspace, TASK_UID, TASK_UID), 0);
    if (apply_new(NULL, &f->apply, &err) < 0)
        fail_msg("%s", err.text);
    f->plan = make_plan(f);
    plan_encode(f->plan, &bytes);
    f->plan_fd = fd_memfile("plan", bytes.data, bytes.len);
    assert_true(f->plan_fd >= 0);
    for (int i = 0; i < 3; i++) {
        f->stdio[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        assert_true(f->stdio[i] >= 0);
    }
    f->task = APPLY_NO_TASK;
    *state = f;
    return 0;
}

static void close_task(struct fixture *f)
{
    if (f->task.control >= 0)
        (void)close(f->task.control);
    if (f->task.pid > 0)
        (void)waitpid(f->task.pid, NULL, 0);
    if (f->task.pidfd >= 0)
        (void)close(f->task.pidfd);
    apply_let_loose(&f->task);
    f->task = APPLY_NO_TASK;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close_task(f);
    plan_free(f->plan);
    plan_free(f->shared);
    apply_free(f->apply);
    (void)close(f->plan_fd);
    for (int i = 0; i < 3; i++)
        (void)close(f->stdio[i]);
    free(f->ran);
    free(f->workspace);
    tempdir_free(f->dir);
    (void)munmap(f->compiled, sizeof *f->compiled);
    free(f);
    return 0;
}

/* ---- its words and ours ---- */

static void say(const struct fixture *f, char word)
{
    assert_int_equal(send(f->task.control, &word, 1, MSG_NOSIGNAL), 1);
}

static void map_ids(struct fixture *f)
{
    struct err err = { 0 };

    if (apply_map_ids(f->is_given ? f->plan : f->shared, &f->task, &err) < 0)
        fail_msg("%s", err.text);
}

/* Its next report; one of failure is none that was waited for. */
static struct apply_report hear(struct fixture *f)
{
    struct pollfd fd = { .fd = f->task.control, .events = POLLIN };
    struct apply_report report = { 0 };
    int passed = -1;

    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    assert_int_equal(fd_recv(f->task.control, &report, sizeof report, &passed, 1), sizeof report);
    if (report.kind == APPLY_WAITING)
        f->task.held[APPLY_HOST] = passed;
    if (report.kind == APPLY_FAILED)
        fail_msg("stage %u (%u): %s", report.stage, report.index, strerror(-report.error));
    return report;
}

static struct apply_report hear_until(struct fixture *f, enum apply_kind kind)
{
    struct apply_report report;

    while ((report = hear(f)).kind != kind) {
        if (report.kind != APPLY_READY)
            continue;
        map_ids(f);
        say(f, APPLY_GO);
    }
    return report;
}

static void await_end(struct fixture *f)
{
    struct pollfd fd = { .fd = f->task.pidfd, .events = POLLIN };

    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
}

/* ---- one that was made before ---- */

/* It has its task, and waits for the last word. uid: as whose sandbox it was made, if not least. */
static void prepare_for(struct fixture *f, bool is_least, uid_t uid)
{
    f->shared = is_least ? plan_shared_least(f->plan) : plan_shared_of(f->plan);
    assert_non_null(f->shared);
    f->shared->outer_uid = uid;
    assert_int_equal(apply_prepare(f->apply, f->shared, NULL, &f->task), 0);
    (void)hear_until(f, APPLY_WAITING);
    assert_int_equal(apply_hand_over(&f->task, f->shared, f->plan, f->plan_fd, f->stdio, false), 0);
    f->is_given = true;
}

static void prepare(struct fixture *f, bool is_least)
{
    prepare_for(f, is_least, f->plan->outer_uid);
}

static bool has_run(const struct fixture *f)
{
    return access(f->ran, F_OK) == 0;
}

static void without_the_last_word_it_ends_and_has_not_begun(void **state)
{
    struct fixture *f = *state;

    prepare(f, false);
    say(f, APPLY_TERM);
    await_end(f);
    assert_false(apply_has_begun(f->plan_fd));
    assert_false(has_run(f));
}

static void with_the_last_word_it_has_begun_before_the_program_runs(void **state)
{
    struct fixture *f = *state;

    prepare(f, false);
    assert_false(has_run(f));
    say(f, APPLY_SURE);
    (void)hear_until(f, APPLY_STARTED);
    assert_true(apply_has_begun(f->plan_fd));
    assert_int_equal(hear_until(f, APPLY_ENDED).status, 0);
    assert_true(has_run(f));
}

/* As root, one that is anybody's has its ids mapped only then. */
static void the_last_word_alone_is_not_enough_where_ids_are_to_be_mapped(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0)
        return; /* there are none of that kind */
    prepare(f, true);
    say(f, APPLY_SURE);
    assert_int_equal(hear(f).kind, APPLY_READY);
    say(f, APPLY_TERM);
    await_end(f);
    assert_false(apply_has_begun(f->plan_fd));
    assert_false(has_run(f));
}

static void a_word_that_came_early_counts(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0)
        return; /* as before */
    prepare(f, true);
    say(f, APPLY_SURE);
    assert_int_equal(hear_until(f, APPLY_ENDED).status, 0);
    assert_true(apply_has_begun(f->plan_fd));
    assert_true(has_run(f));
}

/* As root each has its user from the start. */
static void one_of_another_user_takes_no_task(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0)
        return; /* all are the same user's */
    prepare_for(f, false, f->plan->outer_uid + 1);
    say(f, APPLY_SURE);
    await_end(f);
    assert_false(apply_has_begun(f->plan_fd));
    assert_false(has_run(f));
}

/* ---- filters ---- */

static void run_new(struct fixture *f)
{
    struct apply_report report;

    f->is_given = true;
    assert_int_equal(
        apply_start(f->apply, f->plan, f->stdio, (struct apply_cgroup){ 0 }, &f->task, &report), 0);
    assert_int_equal(hear_until(f, APPLY_ENDED).status, 0);
    close_task(f);
    f->is_given = false;
}

static void filters_are_compiled_at_the_start_and_for_no_task(void **state)
{
    struct fixture *f = *state;
    unsigned at_start = *f->compiled;

    assert_true(at_start > 0);
    run_new(f);
    run_new(f);
    prepare(f, false);
    say(f, APPLY_SURE);
    assert_int_equal(hear_until(f, APPLY_ENDED).status, 0);
    assert_true(has_run(f));
    assert_int_equal(*f->compiled, at_start);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_the_last_word_it_ends_and_has_not_begun),
        TEST(with_the_last_word_it_has_begun_before_the_program_runs),
        TEST(the_last_word_alone_is_not_enough_where_ids_are_to_be_mapped),
        TEST(a_word_that_came_early_counts),
        TEST(one_of_another_user_takes_no_task),
        TEST(filters_are_compiled_at_the_start_and_for_no_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
