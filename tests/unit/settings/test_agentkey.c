#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "settings/agentkey.h"
#include "settings/settings.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

struct fixture {
    char dir[64];
    char *file, *credential;
    struct settings s;
    struct agentkey from_env, key;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    assert_int_equal(secret_setup(), 0);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/test-agentkey-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->file = mem_printf("%s/file", f->dir);
    f->credential = mem_printf("%s/agent-key", f->dir);
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    (void)unsetenv("NAIRI_API_KEY");
    (void)unsetenv("EKSEC_API_KEY");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    (void)remove(f->file); /* not every test writes them */
    (void)remove(f->credential);
    assert_int_equal(rmdir(f->dir), 0);
    agentkey_done(&f->from_env);
    agentkey_done(&f->key);
    free(f->file);
    free(f->credential);
    free(f);
    return 0;
}

static void write_key(const char *path, const char *text, mode_t mode)
{
    assert_int_equal(fd_write_file(path, text, strlen(text), mode, NULL), 0);
}

static int load(struct fixture *f)
{
    int r;

    agentkey_done(&f->key);
    r = agentkey_take_env(&f->from_env, &f->err);
    return r < 0 ? r : agentkey_load(&f->s, &f->from_env, &f->key, &f->err);
}

static void assert_key(const struct fixture *f, const char *text, const char *source)
{
    assert_non_null(f->key.key);
    assert_string_equal(secret_text(f->key.key), text);
    assert_string_equal(f->key.source, source);
    assert_null(f->from_env.key); /* handed over or freed */
}

static void the_first_source_in_order_wins(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(setenv("EKSEC_API_KEY", "nairid_eksec", 1), 0);
    assert_int_equal(load(f), 0);
    assert_key(f, "nairid_eksec", "EKSEC_API_KEY");

    assert_int_equal(setenv("EKSEC_API_KEY", "nairid_eksec", 1), 0);
    assert_int_equal(setenv("NAIRI_API_KEY", "nairid_nairi", 1), 0);
    assert_int_equal(load(f), 0);
    assert_key(f, "nairid_nairi", "NAIRI_API_KEY");

    write_key(f->file, "nairid_file\n", 0600);
    f->s.api_key_file = f->file;
    assert_int_equal(setenv("NAIRI_API_KEY", "nairid_nairi", 1), 0);
    assert_int_equal(load(f), 0);
    assert_key(f, "nairid_file", "api_key_file");

    /* the directory of credentials may lack ours */
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f->dir, 1), 0);
    assert_int_equal(load(f), 0);
    assert_key(f, "nairid_file", "api_key_file");
    write_key(f->credential, "nairid_credential\n", 0440); /* the service manager's business */
    assert_int_equal(load(f), 0);
    assert_key(f, "nairid_credential", "systemd credential");
}

static void both_variables_are_wiped_whichever_wins(void **state)
{
    struct fixture *f = *state;
    char nairi[] = "NAIRI_API_KEY=nairid_nairi", eksec[] = "EKSEC_API_KEY=nairid_eksec";

    write_key(f->file, "nairid_file", 0600);
    f->s.api_key_file = f->file;
    assert_int_equal(putenv(nairi), 0); /* these very bytes are the environment's */
    assert_int_equal(putenv(eksec), 0);
    assert_int_equal(load(f), 0);
    assert_key(f, "nairid_file", "api_key_file");
    assert_null(getenv("NAIRI_API_KEY"));
    assert_null(getenv("EKSEC_API_KEY"));
    assert_int_equal(strlen(nairi), strlen("NAIRI_API_KEY="));
    assert_int_equal(nairi[sizeof nairi - 2], '\0');
    assert_int_equal(eksec[sizeof eksec - 2], '\0');
}

static void both_are_wiped_also_when_one_cannot_be_kept(void **state)
{
    struct fixture *f = *state;
    static const char name[] = "NAIRI_API_KEY=";
    AUTO_FREE char *large = mem_alloc(SECRET_MAX + 64);
    char eksec[] = "EKSEC_API_KEY=nairid_eksec";

    memset(large, 'x', SECRET_MAX + 63);
    memcpy(large, name, sizeof name - 1);
    assert_int_equal(putenv(large), 0);
    assert_int_equal(putenv(eksec), 0);
    assert_int_equal(agentkey_take_env(&f->from_env, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "environment variable NAIRI_API_KEY"));
    assert_null(f->from_env.key);
    assert_null(getenv("EKSEC_API_KEY"));
    assert_int_equal(large[SECRET_MAX + 62], '\0');
    assert_int_equal(eksec[sizeof eksec - 2], '\0');
}

static void an_organisations_key_is_refused_wherever_it_comes_from(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(setenv("NAIRI_API_KEY", "nr_topsecret", 1), 0);
    assert_int_equal(load(f), -EKEYREJECTED);
    assert_string_equal(f->err.text,
                        "the key from NAIRI_API_KEY begins 'nr_': that is an organisation's key "
                        "for the public API; the daemon needs an agent key ('nairi-hub key create "
                        "--agent SLUG', or the Self-host page of the hosted service)");
    assert_null(f->key.key);
    write_key(f->file, "nr_topsecret\n", 0600);
    f->s.api_key_file = f->file;
    assert_int_equal(load(f), -EKEYREJECTED);
    assert_null(strstr(f->err.text, "topsecret"));
}

static void what_cannot_stand_in_a_header_line_is_no_key(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = { "nairid_a\nX-Evil: 1", "nairid a", "nairid_\xc3\xa4" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        write_key(f->file, bad[i], 0600);
        f->s.api_key_file = f->file;
        assert_int_equal(load(f), -EINVAL);
        assert_string_equal(f->err.text, "the key from api_key_file has a character in it that no "
                                         "key has: it must be one line of printable characters");
    }
}

static void no_key_anywhere_says_where_to_put_one(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f), -ENOKEY);
    assert_string_equal(f->err.text,
                        "there is no agent key: put it into a file of mode 600 and name that file "
                        "in api_key_file, or in a unit of systemd's in "
                        "LoadCredential=agent-key:FILE; or set NAIRI_API_KEY");
}

static void a_source_that_is_there_but_unfit_is_not_skipped(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(setenv("NAIRI_API_KEY", "nairid_nairi", 1), 0);
    write_key(f->file, "nairid_file", 0644);
    f->s.api_key_file = f->file;
    assert_int_equal(load(f), -EACCES);
    assert_int_equal(remove(f->file), 0);
    assert_int_equal(setenv("NAIRI_API_KEY", "nairid_nairi", 1), 0);
    assert_int_equal(load(f), -ENOENT);
    assert_int_equal(strncmp(f->err.text, "api_key_file: ", 14), 0);
    assert_null(f->from_env.key);
}

static void a_reload_without_the_environment_finds_the_file(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(agentkey_load(&f->s, NULL, &f->key, &f->err), -ENOKEY);
    write_key(f->file, "nairid_file", 0600);
    f->s.api_key_file = f->file;
    assert_int_equal(agentkey_load(&f->s, NULL, &f->key, &f->err), 0);
    assert_key(f, "nairid_file", "api_key_file");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_first_source_in_order_wins),
        CASE(both_variables_are_wiped_whichever_wins),
        CASE(both_are_wiped_also_when_one_cannot_be_kept),
        CASE(an_organisations_key_is_refused_wherever_it_comes_from),
        CASE(what_cannot_stand_in_a_header_line_is_no_key),
        CASE(no_key_anywhere_says_where_to_put_one),
        CASE(a_source_that_is_there_but_unfit_is_not_skipped),
        CASE(a_reload_without_the_environment_finds_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
