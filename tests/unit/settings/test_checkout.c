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

#include "settings/checkout.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

#define ORIGIN "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = "

static void urls_name_host_owner_and_repository(void **state)
{
    static const struct {
        const char *url, *want;
    } cases[] = {
        { "https://github.com/owner/name.git", "github.com/owner/name" },
        { "https://github.com/owner/name/", "github.com/owner/name" },
        { "https://x-access-token:ghp_secret@github.com/owner/name", "github.com/owner/name" },
        { "HTTPS://github.com/owner/name", "github.com/owner/name" },
        { "ssh://git@host.example:2222/group/sub/name.git", "host.example/group/sub/name" },
        { "git@github.com:owner/name.git", "github.com/owner/name" },
        { "github.com:owner/name", "github.com/owner/name" },
        { "git://host/owner/name", "host/owner/name" },
        { "https://github.com/name", NULL },
        { "https://github.com/../name", NULL },
        { "https://github.com/owner/na me", NULL },
        { "https://github.com/owner/name?x=1", NULL },
        { "https://github.com/owner/name\r\nX-Evil: 1", NULL },
        { "https:///owner/name", NULL },
        { "file:///srv/name", NULL },
        { "/srv/owner/name", NULL },
        { "../name", NULL },
        { "ext::sh -c evil", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *id = checkout_of_url(cases[i].url);

        if (cases[i].want)
            assert_string_equal(id, cases[i].want);
        else
            assert_null(id);
    }
}

static void only_the_url_of_origin_counts(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { ORIGIN "https://h/o/n\n", "https://h/o/n" },
        { "[remote \"up\"]\nurl = no\n" ORIGIN " https://h/o/n # x", "https://h/o/n" },
        { "  [REMOTE  \"origin\" ]\r\n  URL=x\r\n", "x" },
        { "[remote \"origin\"]\n[include]\npath = /etc/passwd\nurl = no\n", NULL },
        { "[remote \"Origin\"]\nurl = no\n", NULL },
        { "url = no", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *url = checkout_origin(cases[i].text, strlen(cases[i].text));

        if (cases[i].want)
            assert_string_equal(url, cases[i].want);
        else
            assert_null(url);
    }
}

struct place {
    char *dir, *git, *config;
};

static int set_up(void **state)
{
    struct place *p = mem_new(struct place);

    p->dir = tempdir_new();
    p->git = mem_printf("%s/.git", p->dir);
    p->config = mem_printf("%s/config", p->git);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    tempdir_free(p->dir);
    free(p->git);
    free(p->config);
    free(p);
    return 0;
}

static void put_config(const struct place *p, const char *text)
{
    assert_int_equal(mkdir(p->git, 0700), 0);
    assert_int_equal(fd_write_file(p->config, text, strlen(text), 0600, NULL), 0);
}

static void a_directory_is_known_by_its_repository(void **state)
{
    const struct place *p = *state;
    AUTO_FREE char *id = NULL;

    assert_int_equal(checkout_identify(p->dir, &id, NULL), 0);
    assert_null(id); /* it has none yet */
    put_config(p, ORIGIN "git@github.com:owner/name.git\n");
    assert_int_equal(checkout_identify(p->dir, &id, NULL), 0);
    assert_string_equal(id, "github.com/owner/name");
}

static void links_are_not_followed(void **state)
{
    const struct place *p = *state;
    AUTO_FREE char *elsewhere = mem_printf("%s/elsewhere", p->dir);
    AUTO_FREE char *id = NULL;
    struct err err = { 0 };

    put_config(p, ORIGIN "https://h/o/n\n");
    assert_int_equal(rename(p->git, elsewhere), 0);
    assert_int_equal(symlink("elsewhere", p->git), 0);
    assert_int_equal(checkout_identify(p->dir, &id, &err), -EINVAL);
    assert_non_null(strstr(err.text, "isn't followed"));
    assert_int_equal(unlink(p->git), 0);
    assert_int_equal(mkdir(p->git, 0700), 0);
    assert_int_equal(symlink("../elsewhere/config", p->config), 0);
    assert_int_equal(checkout_identify(p->dir, &id, &err), -ELOOP);
    assert_int_equal(unlink(p->config), 0);
    assert_int_equal(mkfifo(p->config, 0600), 0);
    assert_int_equal(checkout_identify(p->dir, &id, &err), -EINVAL); /* and doesn't wait for it */
    assert_null(id);
}

static void what_cannot_be_named_is_said(void **state)
{
    const struct place *p = *state;
    AUTO_FREE char *large = mem_alloc(CHECKOUT_CONFIG_MAX + 2);
    AUTO_FREE char *id = NULL;
    struct err err = { 0 };

    put_config(p, "[core]\n");
    assert_int_equal(checkout_identify(p->dir, &id, &err), -EINVAL);
    assert_non_null(strstr(err.text, "has no remote \"origin\""));
    memset(large, '\n', CHECKOUT_CONFIG_MAX + 1);
    assert_int_equal(fd_write_file(p->config, large, CHECKOUT_CONFIG_MAX + 1, 0600, NULL), 0);
    assert_int_equal(checkout_identify(p->dir, &id, &err), -EMSGSIZE);
    assert_null(id);
}

static void what_another_user_wrote_says_nothing(void **state)
{
    const struct place *p = *state;
    AUTO_FREE char *id = NULL;
    struct err err = { 0 };

    if (geteuid() != 0)
        return; /* only root can give a file away */
    put_config(p, ORIGIN "https://h/o/n\n");
    assert_int_equal(chown(p->git, 61357, 61357), 0);
    assert_int_equal(checkout_identify(p->dir, &id, &err), -EPERM);
    assert_non_null(strstr(err.text, "belongs to user 61357"));
    assert_null(id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_name_host_owner_and_repository),
        cmocka_unit_test(only_the_url_of_origin_counts),
        TEST(a_directory_is_known_by_its_repository),
        TEST(links_are_not_followed),
        TEST(what_cannot_be_named_is_said),
        TEST(what_another_user_wrote_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
