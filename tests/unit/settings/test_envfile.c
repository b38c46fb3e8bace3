#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/agentkey.h"
#include "settings/envfile.h"
#include "settings/pairs.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

struct place {
    char *dir, *path, *variable, *home;
    const char *env[6];
    struct settings settings;
};

static int set_up(void **state)
{
    struct place *p = mem_new(struct place);

    assert_int_equal(secret_setup(), 0);
    p->dir = tempdir_new();
    p->path = mem_printf("%s/.env", p->dir);
    p->variable = mem_printf("NAIRI_CONFIG_DIR=%s", p->dir);
    p->home = mem_printf("HOME=%s", p->dir);
    p->env[0] = p->variable;
    p->env[1] = p->home;
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    settings_done(&p->settings);
    tempdir_free(p->dir);
    free(p->path);
    free(p->variable);
    free(p->home);
    free(p);
    return 0;
}

static void put(const struct place *p, const char *text, mode_t mode)
{
    assert_int_equal(fd_write_file(p->path, text, strlen(text), mode, NULL), 0);
}

static void load(struct place *p)
{
    const struct settings_input input = { .environ = p->env, .uid = 1000 };
    struct err err = { 0 };

    settings_done(&p->settings);
    assert_int_equal(settings_load(&input, &p->settings, &err), 0);
}

static void the_directory_is_the_present_daemons(void **state)
{
    static const struct {
        const char *env[4];
        const char *want;
    } cases[] = {
        { { "HOME=/home/u" }, "/home/u/.config/eksecd" },
        { { "HOME=/" }, "/.config/eksecd" },
        { { "HOME=/home/u", "EKSEC_CONFIG_DIR=~/x" }, "/home/u/x" },
        { { "EKSEC_CONFIG_DIR=/x", "NAIRI_CONFIG_DIR=/y" }, "/y" },
        { { "HOME=/home/u", "NAIRI_CONFIG_DIR=relative" }, NULL },
        { { NULL }, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *dir = envfile_dir(cases[i].env);

        if (cases[i].want)
            assert_string_equal(dir, cases[i].want);
        else
            assert_null(dir);
    }
}

static void it_lies_over_the_process_environment(void **state)
{
    struct place *p = *state;
    AUTO_FREE char *place = mem_printf("%s:1:1", p->path);

    put(p, "MAX_CONCURRENCY=3\nEKSEC_AGENT_ID=from-file\nFOO=bar baz\n", 0600);
    p->env[2] = "MAX_CONCURRENCY=2";
    p->env[3] = "NAIRI_AGENT_ID=newer-name";
    load(p);
    assert_int_equal(p->settings.max_concurrency, 3);
    assert_string_equal(p->settings.agent_id, "newer-name"); /* which wins wherever it stands */
    assert_string_equal(pairs_find(&p->settings.runner_env, "FOO"), "bar baz");
    assert_null(pairs_find(&p->settings.runner_env, "MAX_CONCURRENCY"));
    assert_int_equal(p->settings.warnings.len, 0);
    for (size_t i = 0; p->settings.origin && i < 11; i++)
        if (p->settings.origin[i] && str_ends_with(p->settings.origin[i], ".env:1:1"))
            assert_string_equal(p->settings.origin[i], place);
}

static void a_value_that_cannot_be_is_a_warning_and_what_lies_below_counts(void **state)
{
    struct place *p = *state;

    put(p, "MAX_CONCURRENCY=many\nwhat is this\n", 0600);
    p->env[2] = "MAX_CONCURRENCY=2";
    load(p);
    assert_int_equal(p->settings.max_concurrency, 2);
    assert_int_equal(p->settings.warnings.len, 2);
    assert_non_null(strstr(p->settings.warnings.items[0], "/.env:2:1: want a = after the name"));
    assert_non_null(strstr(p->settings.warnings.items[1], "/.env:1:1: max_concurrency"));
}

static void others_must_not_have_written_it(void **state)
{
    struct place *p = *state;
    CLEANUP(dotenv_done) struct dotenv d = { 0 };
    AUTO_FREE char *other = mem_printf("%s/other", p->dir);
    struct err err = { 0 };

    assert_int_equal(envfile_read(p->path, &d, &err), 0); /* it isn't there */
    put(p, "A=b", 0644);
    assert_int_equal(envfile_read(p->path, &d, &err), 0);
    assert_int_equal(d.faults.len, 1);
    assert_non_null(strstr(d.faults.items[0], "chmod 600 it"));
    assert_int_equal(chmod(p->path, 0660), 0);
    dotenv_done(&d);
    assert_int_equal(envfile_read(p->path, &d, &err), 0);
    assert_non_null(strstr(d.faults.items[0], "others may change it"));
    assert_int_equal(chmod(p->path, 0602), 0);
    dotenv_done(&d);
    assert_int_equal(envfile_read(p->path, &d, &err), -EPERM);
    assert_int_equal(chmod(p->path, 0600), 0);
    assert_int_equal(rename(p->path, other), 0);
    assert_int_equal(symlink("other", p->path), 0);
    assert_int_equal(envfile_read(p->path, &d, &err), -ELOOP);
    assert_non_null(strstr(err.text, "it is a symbolic link"));
    assert_int_equal(unlink(p->path), 0);
    assert_int_equal(mkfifo(p->path, 0600), 0);
    assert_int_equal(envfile_read(p->path, &d, &err), -EINVAL);
}

static void a_key_in_it_counts_before_the_environments(void **state)
{
    struct place *p = *state;
    struct agentkey key = { 0 }, from_env = { .source = "NAIRI_API_KEY" };
    struct err err = { 0 };

    put(p, "EKSEC_API_KEY=nairid_old\nNAIRI_API_KEY=nairid_from_file\n", 0600);
    assert_int_equal(secret_new("nairid_env", 10, &from_env.key, NULL), 0);
    load(p);
    assert_null(pairs_find(&p->settings.runner_env, "NAIRI_API_KEY")); /* no task sees it */
    assert_int_equal(agentkey_load(&p->settings, &from_env, &key, &err), 0);
    assert_string_equal(secret_text(key.key), "nairid_from_file");
    assert_string_equal(key.source, "NAIRI_API_KEY in .env");
    agentkey_done(&key);
    put(p, "EKSEC_API_KEY=nairid_old\n", 0600);
    assert_int_equal(agentkey_load(&p->settings, NULL, &key, &err), 0);
    assert_string_equal(key.source, "EKSEC_API_KEY in .env");
    agentkey_done(&key);
    put(p, "NAIRI_API_KEY=nr_organisation\n", 0600);
    assert_int_equal(agentkey_load(&p->settings, NULL, &key, &err), -EKEYREJECTED);
}

static void what_came_from_it_can_be_hidden_and_shown_again(void **state)
{
    struct place *p = *state;
    struct err err = { 0 };

    put(p, "TOKEN=hunter22\n", 0600);
    p->env[2] = "NAIRID_RUNNER_ENV={PLAIN: stays, TOKEN: below}";
    load(p);
    assert_string_equal(pairs_find(&p->settings.runner_env, "TOKEN"), "hunter22");
    envfile_hide(&p->settings);
    assert_string_equal(pairs_find(&p->settings.runner_env, "TOKEN"), "");
    assert_string_equal(pairs_find(&p->settings.runner_env, "PLAIN"), "stays");
    assert_int_equal(envfile_show(&p->settings, &err), 0);
    assert_string_equal(pairs_find(&p->settings.runner_env, "TOKEN"), "hunter22");
}

static void a_proxy_for_tasks_is_not_the_daemons(void **state)
{
    struct place *p = *state;

    p->env[2] = "AGENT_HTTP_PROXY=http://user:word@proxy.lan:3128";
    load(p);
    assert_string_equal(p->settings.sandbox_network_proxy, "http://user:word@proxy.lan:3128");
    assert_null(p->settings.server_proxy);
    assert_null(pairs_find(&p->settings.runner_env, "HTTPS_PROXY"));
    p->env[3] = "NAIRID_SANDBOX_NETWORK_MODE=host";
    p->env[4] = "NAIRID_RUNNER_ENV={https_proxy: mine}";
    load(p);
    assert_string_equal(pairs_find(&p->settings.runner_env, "HTTPS_PROXY"),
                        "http://user:word@proxy.lan:3128");
    assert_string_equal(pairs_find(&p->settings.runner_env, "https_proxy"), "mine");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_directory_is_the_present_daemons),
        TEST(it_lies_over_the_process_environment),
        TEST(a_value_that_cannot_be_is_a_warning_and_what_lies_below_counts),
        TEST(others_must_not_have_written_it),
        TEST(a_key_in_it_counts_before_the_environments),
        TEST(what_came_from_it_can_be_hidden_and_shown_again),
        TEST(a_proxy_for_tasks_is_not_the_daemons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
