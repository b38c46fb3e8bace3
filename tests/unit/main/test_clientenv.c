#include "main/clientenv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "util/err.h"
#include "util/mem.h"

static struct clientenv parse(const char *text)
{
    struct clientenv c = { 0 };
    struct err err = { 0 };

    assert_int_equal(clientenv_parse(text, strlen(text), &c, &err), 0);
    return c;
}

static void assignments_are_read_as_a_shell_would(void **state)
{
    static const char *const texts[] = {
        "NAIRI_API_URL=http://h:1\nNAIRI_PUBLIC_API_KEY=nr_12345678\nNAIRI_AGENT_ID=a/b\n",
        "# made\n\nexport NAIRI_API_URL='http://h:1'\r\nexport "
        "NAIRI_PUBLIC_API_KEY=\"nr_12345678\"\n"
        "NAIRI_AGENT_ID=old\nNAIRI_AGENT_ID=a/b\nOTHER=1\nXNAIRI_AGENT_ID=x",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct clientenv c = parse(texts[i]);

        assert_string_equal(c.url, "http://h:1");
        assert_string_equal(secret_text(c.key), "nr_12345678");
        assert_string_equal(c.agent_id, "a/b");
        clientenv_done(&c);
    }
}

static void what_is_missing_is_null(void **state)
{
    struct clientenv c = parse("NAIRI_API_URL=\nNAIRI_AGENT_ID=''\n");

    (void)state;
    assert_null(c.url);
    assert_null(c.key);
    assert_null(c.agent_id);
    clientenv_done(&c);
}

static void what_is_saved_is_private_and_loads_again(void **state)
{
    char dir[] = "/tmp/clientenv-XXXXXX";
    struct clientenv c = { .url = mem_strdup("http://[::1]:8787"), .agent_id = mem_strdup("me") };
    struct clientenv back = { 0 };
    struct stat st;
    struct err err = { 0 };
    AUTO_FREE char *path = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    path = mem_printf("%s/%s", dir, CLIENTENV_FILE);
    assert_int_equal(clientenv_load(dir, &back, &err), -ENOENT);
    assert_int_equal(secret_new("nr_abcdefgh", 11, &c.key, &err), 0);
    assert_int_equal(clientenv_save(dir, &c, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(clientenv_load(dir, &back, &err), 0);
    assert_string_equal(back.url, c.url);
    assert_string_equal(secret_text(back.key), "nr_abcdefgh");
    assert_string_equal(back.agent_id, "me");
    clientenv_done(&back);
    /* a value that a shell would act on is never written */
    free(c.agent_id);
    c.agent_id = mem_strdup("x$(reboot)");
    assert_int_equal(clientenv_save(dir, &c, &err), -EINVAL);
    clientenv_done(&c);
    assert_int_equal(remove(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void an_agents_key_is_refused(void **state)
{
    static const struct {
        const char *key;
        int result;
    } cases[] = {
        { "nr_12345678", 0 },           { "anything-else", 0 },
        { "nairid_12345678", -EINVAL }, { "eksecd_12345678", -EINVAL },
        { "ccagent_1234567", -EINVAL }, { "nr_1234\r\nX-Evil: 1", -EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct secret *key = NULL;
        struct err err = { 0 };

        assert_int_equal(secret_new(cases[i].key, strlen(cases[i].key), &key, &err), 0);
        assert_int_equal(clientenv_check_key(key, &err), cases[i].result);
        secret_free(key);
    }
}

static void the_state_directory_follows_the_environment(void **state)
{
    struct err err = { 0 };
    char *dir = NULL;

    (void)state;
    setenv("HOME", "/home/u", 1);
    setenv("XDG_STATE_HOME", "/state", 1);
    assert_int_equal(clientenv_state_dir("/given", &dir, &err), 0);
    assert_string_equal(dir, "/given");
    free(TAKE_PTR(dir));
    assert_int_equal(clientenv_state_dir(NULL, &dir, &err), 0);
    assert_string_equal(dir, "/state/nairid-up");
    free(TAKE_PTR(dir));
    setenv("XDG_STATE_HOME", "relative", 1); /* the specification: ignore it */
    assert_int_equal(clientenv_state_dir(NULL, &dir, &err), 0);
    assert_string_equal(dir, "/home/u/.local/state/nairid-up");
    free(TAKE_PTR(dir));
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    assert_int_equal(clientenv_state_dir(NULL, &dir, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assignments_are_read_as_a_shell_would),
        cmocka_unit_test(what_is_missing_is_null),
        cmocka_unit_test(what_is_saved_is_private_and_loads_again),
        cmocka_unit_test(an_agents_key_is_refused),
        cmocka_unit_test(the_state_directory_follows_the_environment),
    };

    return secret_setup() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
