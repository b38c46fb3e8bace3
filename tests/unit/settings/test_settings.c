#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "settings/settings.h"
#include "settings/table.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

/* A folder with a settings file, and an environment in which nothing else is found. */
struct fixture {
    char dir[64];
    char *file;
    char *home; /* "HOME=DIR" */
    struct settings s;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    (void)snprintf(f->dir, sizeof f->dir, "/tmp/test-settings-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->file = mem_printf("%s/c.yaml", f->dir);
    f->home = mem_printf("HOME=%s", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    settings_done(&f->s);
    (void)remove(f->file); /* not every test writes it */
    assert_int_equal(rmdir(f->dir), 0);
    free(f->file);
    free(f->home);
    free(f);
    return 0;
}

static void write_file(const struct fixture *f, const char *text)
{
    struct err err = { 0 };

    assert_int_equal(fd_write_file(f->file, text, strlen(text), 0644, &err), 0);
}

static int load_env(struct fixture *f, const char *yaml, const char *const *environ,
                    const struct settings_flag *flags, size_t flag_count)
{
    const struct settings_input input = {
        .file = yaml ? f->file : NULL,
        .environ = environ,
        .flags = flags,
        .flag_count = flag_count,
        .uid = 1000,
    };

    if (yaml)
        write_file(f, yaml);
    settings_done(&f->s);
    f->err = (struct err){ 0 };
    return settings_load(&input, &f->s, &f->err);
}

static int load(struct fixture *f, const char *yaml)
{
    const char *const environ[] = { f->home, NULL };

    return load_env(f, yaml, environ, NULL, 0);
}

/* The text after the file's name: "LINE:COLUMN: ...". */
static void assert_refused(struct fixture *f, const char *yaml, const char *want)
{
    AUTO_FREE char *prefix = mem_printf("%s:", f->file);

    assert_int_equal(load(f, yaml), -EINVAL);
    assert_int_equal(f->err.code, -EINVAL);
    assert_int_equal(strncmp(f->err.text, prefix, strlen(prefix)), 0);
    assert_string_equal(f->err.text + strlen(prefix), want);
}

static void without_a_file_the_defaults_hold_and_one_job_runs_at_a_time(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *jobs = mem_printf("%s/.local/state/nairid/jobs", f->dir);

    assert_int_equal(load(f, NULL), 0);
    assert_null(f->s.file);
    assert_string_equal(f->s.server_url, "https://api.nairi.ai");
    assert_int_equal(f->s.server_poll_ms, 50000);
    assert_int_equal(f->s.max_concurrency, 1);
    assert_int_equal(f->s.drain_timeout_ms, 300000);
    assert_int_equal(f->s.task_reply_limit_bytes, 256 * 1024);
    assert_int_equal(f->s.sandbox_limits_memory_bytes, 4ull << 30);
    assert_int_equal(f->s.workspace_retention_s, 7 * 86400);
    assert_string_equal(f->s.sandbox_network_mode, "allowlist");
    assert_string_equal(f->s.workspace_root, jobs);
    assert_null(f->s.agent_id);
}

static void unknown_keys_name_the_nearest_valid_one(void **state)
{
    struct fixture *f = *state;

    assert_refused(f, "max_concurency: 2\n",
                   "1:1: unknown key 'max_concurency'; did you mean max_concurrency?");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(without_a_file_the_defaults_hold_and_one_job_runs_at_a_time),
        CASE(unknown_keys_name_the_nearest_valid_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
