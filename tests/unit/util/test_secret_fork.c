/* What a forked process sees of its parent's secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/secret.h"

static void a_forked_process_finds_zeros_in_place_of_a_secret(void **state)
{
    struct secret *s = NULL;
    const char *text;
    int status = -1;
    pid_t pid;

    (void)state;
    assert_int_equal(secret_setup(), 0);
    assert_int_equal(secret_new("nairid_0123456789", 17, &s, NULL), 0);
    text = secret_text(s);
    pid = fork();
    if (pid == 0) {
        int seen = 0;

        for (size_t i = 0; i < 17; i++)
            seen |= text[i];
        _exit(seen == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(secret_text(s), "nairid_0123456789");
    secret_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forked_process_finds_zeros_in_place_of_a_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
