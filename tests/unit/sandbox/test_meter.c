/* Disk space of hostile trees, measured in steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/meter.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"

enum { KIB = 1024, PLENTY = 1000000 };

struct fixture {
    char *dir;
    struct meter meter;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    meter_init(&f->meter);
    assert_int_equal(meter_add(&f->meter, f->dir), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < f->meter.root_count; i++)
        (void)close(f->meter.roots[i]);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static void make_file(const struct fixture *f, const char *name, size_t bytes)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->dir, name);
    AUTO_FREE char *text = mem_alloc(bytes + 1);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    memset(text, 'x', bytes);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, bytes), 0);
    assert_int_equal(fsync(fd), 0); /* blocks that are yet to be given count only then */
}

static uint64_t measure(struct fixture *f, size_t entries)
{
    for (int i = 0; i < PLENTY; i++)
        if (meter_step(&f->meter, entries))
            return f->meter.bytes;
    fail_msg("it never ends");
    return 0;
}

static void nothing_takes_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(measure(f, PLENTY), 0);
    assert_int_equal(measure(f, 1), 0);
}

static void files_count_by_their_blocks_and_empty_ones_by_their_inode(void **state)
{
    struct fixture *f = *state;

    make_file(f, "empty", 0);
    tempdir_mkdir(f->dir, "dir");
    assert_in_range(measure(f, PLENTY), 2 * METER_ENTRY_BYTES, 4 * METER_ENTRY_BYTES);
    assert_int_equal(f->meter.names, 2);
    make_file(f, "dir/large", 100 * KIB);
    assert_in_range(measure(f, PLENTY), 100 * KIB, 160 * KIB);
    assert_in_range(measure(f, 1), 100 * KIB, 160 * KIB);
    assert_int_equal(f->meter.names, 3);
}

static void a_hole_takes_no_space(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/sparse", f->dir);

    make_file(f, "sparse", 1);
    assert_int_equal(truncate(path, 100 * KIB * KIB), 0);
    assert_in_range(measure(f, PLENTY), METER_ENTRY_BYTES, 64 * KIB);
}

static void a_file_of_many_names_counts_once(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *first = mem_printf("%s/0", f->dir);
    uint64_t alone;

    make_file(f, "0", 100 * KIB);
    alone = measure(f, PLENTY);
    for (int i = 1; i < 10; i++) {
        AUTO_FREE char *more = mem_printf("%s/%d", f->dir, i);

        assert_int_equal(link(first, more), 0);
    }
    assert_in_range(measure(f, PLENTY), alone - KIB, alone);
}

static void no_link_is_followed(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/link", f->dir);

    assert_int_equal(symlink("/usr", path), 0);
    assert_in_range(measure(f, PLENTY), METER_ENTRY_BYTES, 2 * METER_ENTRY_BYTES);
}

/* However small they are, nothing is missed or counted twice at their ends. */
static void steps_of_any_size_give_the_same(void **state)
{
    struct fixture *f = *state;
    uint64_t whole;

    for (int i = 0; i < 40; i++) {
        AUTO_FREE char *dir = mem_printf("d%d", i);
        AUTO_FREE char *file = mem_printf("d%d/file", i);
        AUTO_FREE char *other = mem_printf("with-a-long-name-so-that-a-listing-has-pieces-%d", i);

        tempdir_mkdir(f->dir, dir);
        make_file(f, file, (size_t)i * KIB);
        make_file(f, other, 0);
    }
    whole = measure(f, PLENTY);
    assert_true(whole >= 120 * METER_ENTRY_BYTES);
    for (size_t entries = 1; entries < 20; entries++)
        assert_int_equal(measure(f, entries), whole);
}

static void two_roots_count_together(void **state)
{
    struct fixture *f = *state;
    uint64_t one;

    make_file(f, "large", 50 * KIB);
    one = measure(f, PLENTY);
    assert_int_equal(meter_add(&f->meter, f->dir), 0);
    assert_int_equal(measure(f, 3), 2 * one);
}

static void a_tree_that_is_too_deep_is_endless(void **state)
{
    struct fixture *f = *state;
    int at = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < METER_DEPTH + 2; i++) {
        int next;

        assert_int_equal(mkdirat(at, "d", 0755), 0);
        next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        (void)close(at);
        at = next;
    }
    (void)close(at);
    assert_true(measure(f, PLENTY) == UINT64_MAX);
    assert_true(measure(f, 100) == UINT64_MAX); /* and its descriptors were given back */
}

static void a_directory_that_is_removed_meanwhile_is_no_loss(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *dir = mem_printf("%s/dir", f->dir);
    AUTO_FREE char *file = mem_printf("%s/dir/file", f->dir);

    tempdir_mkdir(f->dir, "dir");
    make_file(f, "dir/file", 1);
    assert_false(meter_step(&f->meter, 3)); /* somewhere in it */
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(dir), 0);
    (void)measure(f, PLENTY);
    assert_int_equal(measure(f, PLENTY), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_takes_nothing),
        TEST(files_count_by_their_blocks_and_empty_ones_by_their_inode),
        TEST(a_hole_takes_no_space),
        TEST(a_file_of_many_names_counts_once),
        TEST(no_link_is_followed),
        TEST(steps_of_any_size_give_the_same),
        TEST(two_roots_count_together),
        TEST(a_tree_that_is_too_deep_is_endless),
        TEST(a_directory_that_is_removed_meanwhile_is_no_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
