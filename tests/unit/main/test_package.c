/* What of somebody's home is shown to a task because its program lies there: no more than that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "main/package.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/strv.h"

static const char *const directories[] = {
    "home",
    "home/node_modules",
    "home/node_modules/@who",
    "home/node_modules/@who/tool",
    "home/node_modules/@who/tool/node_modules",
    "home/node_modules/@who/tool/node_modules/inner",
};
static const char *const files[] = {
    "home/run",
    "home/node_modules/@who/tool/cli.js",
    "home/node_modules/@who/tool/node_modules/inner/run",
    "home/node_modules/bare",
};
static const char *const links[][2] = {
    { "home/run", "to-file" },
    { "home", "to-home" },
    { "home/node_modules/@who/tool/cli.js", "to-package" },
};

static int setup(void **state)
{
    AUTO_FREE char *made = tempdir_new(); /* maybe by way of a link, as TMPDIR may be one */
    char *root = realpath(made, NULL);

    assert_non_null(root);
    assert_int_equal(chdir(root), 0);
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
        assert_int_equal(mkdir(directories[i], 0755), 0);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        int fd = open(files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

        assert_true(fd >= 0);
        (void)close(fd);
    }
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        assert_int_equal(symlink(links[i][0], links[i][1]), 0);
    *state = root;
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(chdir("/"), 0);
    tempdir_free(*state);
    return 0;
}

/* shown: NULL for nothing. */
static void expect(const char *root, const char *program, const char *shown)
{
    AUTO_FREE char *word = mem_printf("%s/%s", root, program);
    AUTO_FREE char *want = shown ? mem_printf("%s/%s", root, shown) : NULL;
    CLEANUP(strv_done) struct strv read = { 0 };

    package_show(&word, &read);
    assert_int_equal(read.len, shown ? 1 : 0);
    if (shown)
        assert_string_equal(read.items[0], want);
}

static void a_program_shows_its_package_or_itself(void **state)
{
    expect(*state, "home/run", "home/run");
    expect(*state, "to-file", "home/run");
    expect(*state, "to-package", "home/node_modules/@who/tool");
    expect(*state, "home/node_modules/@who/tool/node_modules/inner/run",
           "home/node_modules/@who/tool/node_modules/inner");
    expect(*state, "home/node_modules/bare", "home/node_modules/bare");
}

static void what_is_no_file_shows_nothing(void **state)
{
    expect(*state, "home", NULL);
    expect(*state, "to-home", NULL);
    expect(*state, "home/node_modules/@who", NULL);
    expect(*state, "home/none", NULL);
}

static void a_program_of_the_system_shows_nothing(void **state)
{
    AUTO_FREE char *word = mem_strdup("/usr/bin/env"), *name = mem_strdup("env");
    CLEANUP(strv_done) struct strv read = { 0 };

    (void)state;
    package_show(&word, &read);
    package_show(&name, &read);
    assert_int_equal(read.len, 0);
    assert_string_equal(name, "env");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_shows_its_package_or_itself),
        cmocka_unit_test(what_is_no_file_shows_nothing),
        cmocka_unit_test(a_program_of_the_system_shows_nothing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
