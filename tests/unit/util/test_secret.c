#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"

static int enter_folder(void **state)
{
    char name[] = "/tmp/test_secret.XXXXXX";

    if (mkdtemp(name) == NULL || chdir(name) < 0 || mkdir("credentials", 0700) < 0)
        return -1;
    *state = strdup(name);
    return 0;
}

static int leave_folder(void **state)
{
    static const char *const files[] = { "key", "link", "fifo", "credentials/key",
                                         "credentials/link" };

    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        (void)unlink(files[i]); /* those that the test made */
    if (rmdir("credentials") < 0 || chdir("/") < 0 || rmdir(*state) < 0)
        return -1;
    free(*state);
    return unsetenv("CREDENTIALS_DIRECTORY");
}

static void put(const char *path, const char *text, mode_t mode)
{
    assert_int_equal(fd_write_file(path, text, strlen(text), mode, NULL), 0);
}

static void a_secret_keeps_its_bytes_and_length(void **state)
{
    char text[SECRET_MAX + 1];

    (void)state;
    memset(text, 'k', sizeof text);
    for (size_t len = 1; len <= SECRET_MAX; len += len < 40 ? 1 : 4072) {
        CLEANUP_PTR(secret_free) struct secret *s = NULL;

        assert_int_equal(secret_new(text, len, &s, NULL), 0);
        assert_int_equal(secret_len(s), len);
        assert_int_equal(strlen(secret_text(s)), len);
        assert_memory_equal(secret_text(s), text, len);
        assert_true(secret_equals(s, text, len));
        assert_false(secret_equals(s, text, len - 1));
        assert_false(secret_equals(s, text, len + 1));
    }
}

static void lengths_out_of_range_are_refused(void **state)
{
    char text[SECRET_MAX + 1] = "x";
    struct secret *s = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(secret_new("", 0, &s, &err), -EINVAL);
    assert_int_equal(secret_new(text, sizeof text, &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "1 to 8192 bytes"));
    assert_null(s);
    secret_free(NULL);
}

static void comparing_looks_at_every_byte(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *s = NULL;
    char other[] = "nairid_0123456789";

    (void)state;
    assert_int_equal(secret_new(other, strlen(other), &s, NULL), 0);
    for (size_t i = 0; i < strlen(other); i++) {
        other[i] ^= 1;
        assert_false(secret_equals(s, other, strlen(other)));
        other[i] ^= 1;
    }
    assert_true(secret_equals(s, other, strlen(other)));
}

/* The flags of the mapping that holds p, as in proc_pid_smaps(5). */
static void mapping_flags(const void *p, char *flags, size_t size)
{
    AUTO_FREE char *line = NULL;
    FILE *f = fopen("/proc/self/smaps", "re");
    unsigned long from, to;
    bool is_ours = false;
    size_t room = 0;

    assert_non_null(f);
    flags[0] = '\0';
    while (getline(&line, &room, f) > 0) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            is_ours = (uintptr_t)p >= from && (uintptr_t)p < to;
        else if (is_ours && strncmp(line, "VmFlags:", 8) == 0)
            (void)snprintf(flags, size, "%s", line + 8);
    }
    (void)fclose(f);
}

static void its_memory_is_read_only_and_kept_out_of_dumps_and_swap(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *s = NULL;
    char flags[256];

    (void)state;
    assert_int_equal(secret_new("the secret", 10, &s, NULL), 0);
    mapping_flags(secret_text(s), flags, sizeof flags);
    assert_non_null(strstr(flags, " dd"));
    assert_non_null(strstr(flags, " rd"));
    assert_null(strstr(flags, " wr"));
#ifndef NAIRID_SANITIZED /* AddressSanitizer turns mlock() into nothing */
    assert_non_null(strstr(flags, " lo"));
#endif
}

#ifndef NAIRID_SANITIZED
static void memory_that_can_not_be_locked_is_refused(void **state)
{
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct secret *s = NULL;
        struct err err = { 0 };
        int r;

        if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 0, 0 }) < 0 ||
            (getuid() == 0 && setuid(65534) < 0))
            _exit(99);
        r = secret_new("the secret", 10, &s, &err);
        _exit(r == -ENOMEM && strstr(err.text, "LimitMEMLOCK=") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}
#endif

static void files_lose_the_white_space_at_their_end(void **state)
{
    static const char *const texts[] = { "key", "key\n", "key\r\n", "key \t\n\v\f\n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_PTR(secret_free) struct secret *s = NULL;

        put("key", texts[i], 0600);
        assert_int_equal(secret_load("key", &s, NULL), 0);
        assert_string_equal(secret_text(s), "key");
    }
}

static void inner_lines_of_a_file_stay(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *s = NULL;

    (void)state;
    put("key", " -----BEGIN\nx\n", 0400);
    assert_int_equal(secret_load("key", &s, NULL), 0);
    assert_string_equal(secret_text(s), " -----BEGIN\nx");
}

static void files_that_others_can_reach_are_refused_with_the_remedy(void **state)
{
    static const mode_t modes[] = { 0640, 0604, 0620, 0602, 0610, 0601, 0644 };
    struct secret *s = NULL;
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        put("key", "secret", modes[i]);
        assert_int_equal(secret_load("key", &s, &err), -EACCES);
        assert_non_null(strstr(err.text, "chmod 600"));
    }
    assert_null(s);
}

static void credentials_of_the_service_manager_may_have_any_mode(void **state)
{
    AUTO_FREE char *directory = mem_printf("%s/credentials", (char *)*state);
    AUTO_FREE char *with_slash = mem_printf("%s//", directory);
    AUTO_FREE char *path = mem_printf("%s/key", directory);
    AUTO_FREE char *detour = mem_printf("%s/../key", directory);
    struct secret *s = NULL;

    put("credentials/key", "secret\n", 0440);
    put("key", "secret", 0440);
    assert_int_equal(secret_load(path, &s, NULL), -EACCES);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
    assert_int_equal(secret_load(path, &s, NULL), 0);
    secret_free(TAKE_PTR(s));
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", with_slash, 1), 0);
    assert_int_equal(secret_load(path, &s, NULL), 0);
    secret_free(TAKE_PTR(s));
    assert_int_equal(secret_load(detour, &s, NULL), -EACCES); /* it doesn't lie there */
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", *state, 1), 0);
    assert_int_equal(secret_load(path, &s, NULL), -EACCES); /* nor deeper */
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
    assert_int_equal(secret_load(path, &s, NULL), -EACCES);
    assert_null(s);
}

static void what_is_no_good_file_is_refused(void **state)
{
    AUTO_FREE char *big = mem_alloc(SECRET_MAX + 100);
    struct secret *s = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(secret_load("none", &s, &err), -ENOENT);
    assert_non_null(strstr(err.text, "'none'"));
    put("key", "secret", 0600);
    assert_int_equal(symlink("key", "link"), 0);
    assert_int_equal(secret_load("link", &s, &err), -ELOOP);
    assert_non_null(strstr(err.text, "name the file itself"));
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(secret_load("fifo", &s, &err), -EINVAL);
    assert_int_equal(secret_load(".", &s, &err), -EINVAL);
    put("key", " \n", 0600);
    assert_int_equal(secret_load("key", &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is empty"));
    assert_int_equal(fd_write_file("key", "a\0b", 3, 0600, NULL), 0);
    assert_int_equal(secret_load("key", &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "NUL"));
    memset(big, 'k', SECRET_MAX + 99);
    put("key", big, 0600);
    assert_int_equal(secret_load("key", &s, &err), -EMSGSIZE);
    big[SECRET_MAX + 1] = '\0';
    put("key", big, 0600);
    assert_int_equal(secret_load("key", &s, &err), -EINVAL);
    assert_null(s);
}

static void errors_do_not_quote_the_secret(void **state)
{
    AUTO_FREE char *big = mem_alloc(SECRET_MAX + 2);
    struct secret *s = NULL;
    struct err err = { 0 };

    (void)state;
    memset(big, 'k', SECRET_MAX + 1);
    put("key", big, 0600);
    assert_int_equal(secret_load("key", &s, &err), -EINVAL);
    assert_null(strstr(err.text, "kkkk"));
    assert_int_equal(setenv("TEST_KEY", big, 1), 0);
    assert_int_equal(secret_take_env("TEST_KEY", &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "TEST_KEY"));
    assert_null(strstr(err.text, "kkkk"));
    assert_null(getenv("TEST_KEY")); /* gone all the same */
}

static void unset_and_empty_variables_are_absent(void **state)
{
    struct secret *s = NULL;

    (void)state;
    assert_int_equal(unsetenv("TEST_KEY"), 0);
    assert_int_equal(secret_take_env("TEST_KEY", &s, NULL), -ENOENT);
    assert_int_equal(setenv("TEST_KEY", "", 1), 0);
    assert_int_equal(secret_take_env("TEST_KEY", &s, NULL), -ENOENT);
    assert_null(s);
}

/* In a process of its own, started with the variable twice and a longer name beside it. */
static int be_the_process_with_the_variable(void)
{
    CLEANUP_PTR(secret_free) struct secret *s = NULL;
    CLEANUP(buf_done) struct buf environment = { 0 };

    if (secret_take_env("TEST_KEY", &s, NULL) < 0 || strcmp(secret_text(s), "s3cr3t-one") != 0)
        return 1;
    if (getenv("TEST_KEY") != NULL || getenv("TEST_KEY_NAME") == NULL)
        return 2;
    if (fd_read_file("/proc/self/environ", 1 << 20, &environment, NULL) < 0)
        return 3;
    if (memmem(environment.data, environment.len, "s3cr3t", 6) != NULL)
        return 4;
    return memmem(environment.data, environment.len, "TEST_KEY_NAME=kept", 18) != NULL ? 0 : 5;
}

static void a_taken_variable_is_gone_from_the_process_environment(void **state)
{
    char *const argv[] = { (char[]){ "test_secret" }, (char[]){ "take" }, NULL };
    char *const envp[] = { (char[]){ "TEST_KEY_NAME=kept" }, (char[]){ "TEST_KEY=s3cr3t-one" },
                           (char[]){ "TEST_KEY=s3cr3t-two" }, NULL };
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        (void)execve("/proc/self/exe", argv, envp);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void wiping_leaves_zeros(void **state)
{
    char bytes[] = "abcdef";

    (void)state;
    secret_wipe(bytes + 1, 3);
    assert_memory_equal(bytes, "a\0\0\0ef", 7);
    secret_wipe(bytes, 0);
    assert_int_equal(bytes[0], 'a');
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_keeps_its_bytes_and_length),
        cmocka_unit_test(lengths_out_of_range_are_refused),
        cmocka_unit_test(comparing_looks_at_every_byte),
        cmocka_unit_test(its_memory_is_read_only_and_kept_out_of_dumps_and_swap),
#ifndef NAIRID_SANITIZED
        cmocka_unit_test(memory_that_can_not_be_locked_is_refused),
#endif
        IN_FOLDER(files_lose_the_white_space_at_their_end),
        IN_FOLDER(inner_lines_of_a_file_stay),
        IN_FOLDER(files_that_others_can_reach_are_refused_with_the_remedy),
        IN_FOLDER(credentials_of_the_service_manager_may_have_any_mode),
        IN_FOLDER(what_is_no_good_file_is_refused),
        IN_FOLDER(errors_do_not_quote_the_secret),
        cmocka_unit_test(unset_and_empty_variables_are_absent),
        cmocka_unit_test(a_taken_variable_is_gone_from_the_process_environment),
        cmocka_unit_test(wiping_leaves_zeros),
    };

    if (secret_setup() < 0)
        return 98;
    if (argc == 2 && strcmp(argv[1], "take") == 0)
        return be_the_process_with_the_variable();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
