#include "main/census.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/plan.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

static void write_file(const char *dir, const char *name, const char *text)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void an_account_among_the_tasks_uids_is_named(void **state)
{
    static const struct {
        const char *text, *name; /* NULL: none */
    } cases[] = {
        { "", NULL },
        { "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n", NULL },
        { "below:x:2013265920:0::/:/bin/sh\n", NULL },
        { "above:x:2147352576:0::/:/bin/sh\n", NULL },
        { "root:x:0:0::/:/bin/sh\nfirst:x:2013265921:0::/:/bin/sh\n", "'first'" },
        { "last:x:2147352575:0::/:/bin/sh", "'last'" },
        { "+::::::\nbroken\n:\nx:y:z\n\nin:x:2100000000:0::/:/bin/sh\n", "'in'" },
        { "gid:x:1:2100000000::/:/bin/sh\nlong:x:21000000000000000000000:0::/:/\n", NULL },
    };
    char *dir = tempdir_new();

    (void)state;
    assert_int_equal(census_check(dir, NULL), 0); /* no accounts at all */
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err = { 0 };

        write_file(dir, "passwd", cases[i].text);
        assert_int_equal(census_check(dir, &err), cases[i].name ? -EEXIST : 0);
        if (cases[i].name && !strstr(err.text, cases[i].name))
            fail_msg("'%s' is not in: %s", cases[i].name, err.text);
    }
    tempdir_free(dir);
}

static void what_cant_be_read_is_an_error(void **state)
{
    char *dir = tempdir_new();
    AUTO_FREE char *path = mem_printf("%s/passwd", dir);
    struct err err = { 0 };

    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(census_check(dir, &err) < 0);
    assert_non_null(strstr(err.text, path));
    tempdir_free(dir);
}

static void subordinate_ids_among_them_are_named(void **state)
{
    static const struct {
        const char *text;
        bool overlaps;
    } cases[] = {
        { "alice:100000:65536\nbob:165536:65536\n", false },
        { "root:1000000:1000000000\n", false }, /* what LXD and Incus ask for */
        { "alice:100000:2013165921\n", false }, /* ends just below */
        { "alice:100000:2013165922\n", true },
        { "alice:2147352575:1\n", true },
        { "alice:2147352576:65536\n", false },
        { "alice:100000:4294867295\n", true },
        { "alice:100000\nbob\n\n", false },
    };
    char *dir = tempdir_new();

    (void)state;
    assert_null(census_overlap(dir));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *words = NULL;
        AUTO_FREE char *other = NULL;

        write_file(dir, "subgid", "");
        write_file(dir, "subuid", cases[i].text);
        words = census_overlap(dir);
        assert_int_equal(words != NULL, cases[i].overlaps);
        write_file(dir, "subuid", "");
        write_file(dir, "subgid", cases[i].text);
        other = census_overlap(dir);
        assert_int_equal(other != NULL, cases[i].overlaps);
        assert_true(!other || strstr(other, "/subgid "));
    }
    tempdir_free(dir);
}

static void a_users_subordinate_ids_are_counted(void **state)
{
    char *dir = tempdir_new();

    (void)state;
    assert_int_equal(census_spare(dir, 1000), 0);
    write_file(dir, "subuid", "alice:100000:65536\n1000:200000:10\nbob:1:2\nalice:1\n\n1001:9:9\n");
    assert_int_equal(census_spare(dir, 1000), 10); /* whose name nobody knows */
    write_file(dir, "passwd", "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n:\n");
    assert_int_equal(census_spare(dir, 1000), 65546);
    assert_int_equal(census_spare(dir, 0), 0);
    tempdir_free(dir);
}

/* As systemd lists them, in UIDS-GIDS.md. */
static void the_tasks_uids_are_nobody_elses_range(void **state)
{
    static const struct {
        unsigned first, last;
    } theirs[] = {
        { 0, 60577 },              /* system, accounts, homes, users of containers */
        { 61184, 65535 },          /* dynamic users, nobody, the 16-bit -1 */
        { 524288, 1879048191 },    /* containers */
        { 2147352576, 2147483647 } /* foreign images, and up to the sign */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(theirs); i++)
        assert_true(PLAN_OWN_UID_MAX < theirs[i].first || PLAN_OWN_UID_MIN > theirs[i].last);
    assert_true(PLAN_KILLER_UID > 2000200000); /* sssd-ldap(5): ldap_idmap_range_max */
    assert_true(PLAN_KILLER_UID < PLAN_EGRESS_UID && PLAN_EGRESS_UID < PLAN_LONE_UID_MIN &&
                PLAN_LONE_UID_MAX < PLAN_JOB_UID_MIN && PLAN_JOB_UID_MIN < PLAN_OWN_UID_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_among_the_tasks_uids_is_named),
        cmocka_unit_test(what_cant_be_read_is_an_error),
        cmocka_unit_test(subordinate_ids_among_them_are_named),
        cmocka_unit_test(a_users_subordinate_ids_are_counted),
        cmocka_unit_test(the_tasks_uids_are_nobody_elses_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
