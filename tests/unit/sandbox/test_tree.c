/* What a sandbox shows of the host, mounted while the host goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/plan.h"
#include "sandbox/tree.h"
#include "support/ownmounts.h"
#include "support/tempdir.h"
#include "util/fd.h"
#include "util/mem.h"

struct fixture {
    char *dir, *source, *root, *seen;
    int root_fd;
    char target[8];
    struct plan_step step;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->source = mem_printf("%s/source", f->dir);
    f->root = mem_printf("%s/root", f->dir);
    f->seen = mem_printf("%s/seen", f->root);
    assert_int_equal(mkdir(f->root, 0755), 0);
    f->root_fd = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->root_fd >= 0);
    (void)snprintf(f->target, sizeof f->target, "/seen");
    f->step = (struct plan_step){ .type = PLAN_STEP_BIND, .target = f->target, .text = f->source };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)umount2(f->seen, MNT_DETACH); /* where nothing was mounted there is nothing to do */
    (void)close(f->root_fd);
    tempdir_free(f->dir);
    free(f->source);
    free(f->root);
    free(f->seen);
    free(f);
    return 0;
}

/* As ldconfig(8) and most others write a file: beside it, and then in its place. */
static void replace(const struct fixture *f, const char *text)
{
    AUTO_FREE char *other = mem_printf("%s~", f->source);
    AUTO_CLOSE int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
    assert_int_equal(rename(other, f->source), 0);
}

/* The plan of one step that shows the file "old", which is open now. */
static struct plan begin(struct fixture *f, int *ret_fd)
{
    const struct plan plan = { .steps = &f->step, .step_count = 1 };
    size_t index = 0;

    replace(f, "old");
    if (tree_open(&plan, 0, -1, ret_fd, &index) == -EPERM) {
        (void)printf("skip: needs root\n"); /* or user namespaces, as the sandbox does */
        skip();
    }
    assert_true(*ret_fd >= 0);
    return plan;
}

static void a_file_that_is_replaced_meanwhile_is_shown_as_it_is_now(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int fd = -1, seen = -1;
    const struct plan plan = begin(f, &fd);
    char text[8] = "";
    size_t index = 0;

    replace(f, "new");
    assert_int_equal(tree_fill(&plan, 0, &fd, f->root_fd, &index), 0);
    seen = open(f->seen, O_RDONLY | O_CLOEXEC);
    assert_true(seen >= 0);
    assert_int_equal(read(seen, text, sizeof text), 3);
    assert_string_equal(text, "new");
    assert_int_equal(open(f->seen, O_WRONLY | O_CLOEXEC), -1);
    assert_int_equal(errno, EROFS);
}

static void a_file_that_is_gone_meanwhile_fails_the_step(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int fd = -1;
    const struct plan plan = begin(f, &fd);
    size_t index = 7;

    assert_int_equal(unlink(f->source), 0);
    assert_int_equal(tree_fill(&plan, 0, &fd, f->root_fd, &index), -ENOENT);
    assert_int_equal(index, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_is_replaced_meanwhile_is_shown_as_it_is_now),
        TEST(a_file_that_is_gone_meanwhile_fails_the_step),
    };

    (void)ownmounts_enter(); /* where it fails, the tests skip */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
