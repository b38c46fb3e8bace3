/* What a start of the daemon, and a task's start, spend on policy: medians in microseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/filter.h"
#include "sandbox/plan.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/strv.h"

enum { ROUNDS = 201 };

static double now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void load_profile(const void *ctx)
{
    struct profile *p = NULL;

    (void)ctx;
    if (profile_load("agent", &p, NULL) < 0)
        abort();
    profile_free(p);
}

static void compile_filter(const void *ctx)
{
    struct filter *f = NULL;

    (void)ctx;
    if (filter_new(FILTER_TASK, PROFILE_CALLS_ALL, &f, NULL) < 0)
        abort();
    filter_free(f);
}

static void make_plan(const void *ctx)
{
    char *words[] = { (char[]){ "/bin/true" } };
    const struct strv argv = { words, ARRAY_SIZE(words) };
    const struct plan_policy policy = {
        .profile = ctx, .workspace = "/srv/w", .home = "/srv/h", .argv = &argv, .uid = 1000
    };
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    CLEANUP(buf_done) struct buf bytes = { 0 };

    if (plan_make(&policy, &plan, NULL) < 0)
        abort();
    plan_encode(plan, &bytes);
}

/* In a process of its own, which tells how long it took: filters can't be left again. */
static double time_load(const struct filter *f)
{
    double took = 0;
    int ends[2];
    pid_t pid;

    if (pipe(ends) < 0 || (pid = fork()) < 0)
        abort();
    if (pid == 0) {
        double before = now_us();

        if (prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) < 0 || filter_load(f) < 0)
            abort();
        took = now_us() - before;
        _exit(write(ends[1], &took, sizeof took) != sizeof took);
    }
    (void)close(ends[1]);
    if (read(ends[0], &took, sizeof took) != sizeof took)
        abort();
    (void)close(ends[0]);
    (void)waitpid(pid, NULL, 0);
    return took;
}

static void print_median(const char *what, double *times)
{
    qsort(times, ROUNDS, sizeof times[0], by_value);
    printf("%-44s %8.1f\n", what, times[ROUNDS / 2]);
}

static void measure(const char *what, void (*fn)(const void *ctx), const void *ctx)
{
    double times[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        double before = now_us();

        fn(ctx);
        times[i] = now_us() - before;
    }
    print_median(what, times);
}

int main(void)
{
    CLEANUP_PTR(profile_free) struct profile *profile = NULL;
    CLEANUP_PTR(filter_free) struct filter *filter = NULL;
    double times[ROUNDS];

    if (profile_load("agent", &profile, NULL) < 0 ||
        filter_new(FILTER_TASK, profile->calls, &filter, NULL) < 0)
        abort();
    measure("once at the start: read a profile", load_profile, NULL);
    measure("once at the start: compile a filter", compile_filter, NULL);
    measure("each task: make and encode its plan", make_plan, profile);
    for (size_t i = 0; i < ROUNDS; i++)
        times[i] = time_load(filter);
    print_median("each task: load the compiled filter", times);
    return 0;
}
