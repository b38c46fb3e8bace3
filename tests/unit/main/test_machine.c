#include "main/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/mem.h"

#define ID "0123456789abcdef0123456789abcdef"

static void only_a_whole_id_counts(void **state)
{
    static const struct {
        const char *text;
        bool is_one;
    } cases[] = {
        { ID "\n", true },
        { ID, true },
        { "", false },
        { "uninitialized\n", false },
        { "0123456789abcdef\n", false },
        { "0123456789ABCDEF0123456789ABCDEF\n", false },
    };
    char *dir = tempdir_new();
    AUTO_FREE char *path = mem_printf("%s/machine-id", dir);
    char id[MACHINE_ID_MAX];

    (void)state;
    assert_false(machine_id(path, id));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(write(fd, cases[i].text, strlen(cases[i].text)) >= 0);
        assert_int_equal(close(fd), 0);
        assert_int_equal(machine_id(path, id), cases[i].is_one);
    }
    assert_false(machine_id(dir, id));
    tempdir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_whole_id_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
