#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "sandbox/plan.h"
#include "sandbox/plan_bare.h"
#include "support/profiles.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/strv.h"

enum { TASK_UID = 0x70000042 };

static int make(const struct plan_policy *change, struct plan **ret_plan, struct err *err)
{
    CLEANUP(strv_done) struct strv argv = { 0 }, env = { 0 };
    struct plan_policy policy = *change;

    strv_add(&argv, "/workspace/run");
    strv_add(&argv, PLAN_BRIEF);
    strv_add(&argv, "/workspaces");
    strv_add(&env, "CONFIG=/home/agent/.config");
    policy.profile = profiles_get("agent");
    policy.ground.rung = PLAN_RUNG_BARE;
    policy.workspace = "/srv/jobs/j/workspace";
    policy.brief = "be kind";
    policy.argv = &argv;
    policy.env = &env;
    return plan_make(&policy, ret_plan, err);
}

static bool has(const struct strv *words, const char *word)
{
    for (size_t i = 0; i < words->len; i++)
        if (strcmp(words->items[i], word) == 0)
            return true;
    return false;
}

static void what_would_be_mounted_becomes_rules_on_the_hosts_paths(void **state)
{
    const struct plan_policy policy = { .home = "/srv/jobs/j/home",
                                        .attachments = "/srv/jobs/j/attachments",
                                        .uid = 1000 };
    uint32_t attachments = 0;
    CLEANUP_PTR(plan_free) struct plan *p = NULL, *decoded = NULL;
    CLEANUP(buf_done) struct buf bytes = { 0 };

    (void)state;
    assert_int_equal(make(&policy, &p, NULL), 0);
    assert_int_equal(p->step_count, 0);
    assert_true(p->ground.host_proc);
    for (size_t i = 0; i < p->rule_count; i++) {
        /* a rule holds for all that is beneath */
        assert_string_not_equal(p->rules[i].path, "/");
        assert_string_not_equal(p->rules[i].path, "/etc");
        assert_string_not_equal(p->rules[i].path, "/dev");
        assert_string_not_equal(p->rules[i].path, "/dev/tty");
        assert_string_not_equal(p->rules[i].path, "/tmp");
        if (p->rules[i].rights & PLAN_MAY_CHANGE)
            assert_non_null(strstr(p->rules[i].path, "/srv/jobs/j/"));
        if (strcmp(p->rules[i].path, policy.attachments) == 0)
            attachments |= p->rules[i].rights;
    }
    assert_int_equal(attachments, PLAN_MAY_LIST | PLAN_MAY_READ);
    assert_string_equal(p->directory, "/srv/jobs/j/workspace");
    assert_string_equal(p->scratch, "/srv/jobs/j/home/.nairid-scratch");
    assert_string_equal(p->brief, "be kind");
    assert_string_equal(p->argv.items[0], "/srv/jobs/j/workspace/run");
    assert_string_equal(p->argv.items[1], "/srv/jobs/j/home/.nairid-scratch/brief");
    assert_string_equal(p->argv.items[2], "/workspaces");
    assert_true(has(&p->env, "CONFIG=/srv/jobs/j/home/.config"));
    assert_true(has(&p->env, "HOME=/srv/jobs/j/home"));
    assert_true(has(&p->env, "TMPDIR=/srv/jobs/j/home/.nairid-scratch/tmp"));
    plan_encode(p, &bytes);
    assert_int_equal(plan_decode(bytes.data, bytes.len, &decoded, NULL), 0);
}

static void what_that_rung_cannot_do_is_refused(void **state)
{
    const struct plan_policy wrong[] = {
        { .home = "/h", .uid = 1000, .network = PLAN_NETWORK_ALLOWLIST },
        { .uid = 1000 }, /* nowhere to put what is private */
        /* an account's: all of it would be killed */
        { .home = "/h", .uid = 0, .task_uid = 1000 },
        { .home = "/h", .uid = 0, .task_uid = 65534 },
        { .home = "/h", .uid = 0, .task_uid = 1000000 }, /* of a directory, or a container's */
        { .home = "/h", .uid = 0, .task_uid = PLAN_OWN_UID_MIN - 1 },
        { .home = "/h", .uid = 0, .task_uid = PLAN_OWN_UID_MAX + 1u },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct plan *p = NULL;
        struct err err = { 0 };

        assert_int_equal(make(&wrong[i], &p, &err), -EINVAL);
        assert_true(err.text[0] != '\0');
    }
}

static void as_root_it_takes_a_user_of_its_own(void **state)
{
    const struct plan_policy policy = { .home = "/h", .uid = 0, .task_uid = TASK_UID };
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    (void)state;
    assert_int_equal(make(&policy, &p, NULL), 0);
    assert_int_equal(p->outer_uid, TASK_UID);
}

static void an_order_to_run_as_an_account_is_damaged(void **state)
{
    const struct plan_policy policy = { .home = "/h", .uid = 0, .task_uid = TASK_UID };
    CLEANUP_PTR(plan_free) struct plan *p = NULL;
    CLEANUP(buf_done) struct buf bytes = { 0 };
    struct plan *decoded = NULL;

    (void)state;
    assert_int_equal(make(&policy, &p, NULL), 0);
    p->outer_uid = 65534;
    plan_encode(p, &bytes);
    assert_int_equal(plan_decode(bytes.data, bytes.len, &decoded, NULL), -EINVAL);
}

static void what_the_control_plane_provides_is_linked_into_the_home(void **state)
{
    const struct plan_shown shown[] = { { "/srv/set/rules", PLAN_HOME "/.claude/rules" },
                                        { NULL, PLAN_HOME "/.claude/skills" },
                                        { "/srv/set/mcp.json", "/nairid/mcp.json" } };
    CLEANUP(strv_done) struct strv argv = { 0 }, env = { 0 };
    const struct plan_policy policy = { .profile = profiles_get("agent"),
                                        .ground = { .rung = PLAN_RUNG_BARE },
                                        .workspace = "/srv/jobs/j/workspace",
                                        .home = "/srv/jobs/j/home",
                                        .shown = shown,
                                        .shown_count = 3,
                                        .argv = &argv,
                                        .env = &env,
                                        .uid = 1000 };
    CLEANUP_PTR(plan_free) struct plan *p = NULL, *decoded = NULL;
    CLEANUP(buf_done) struct buf bytes = { 0 };
    bool is_moved = false;

    (void)state;
    strv_add(&argv, "/usr/bin/claude");
    strv_add(&argv, "--mcp-config=/nairid/mcp.json");
    strv_add(&env, "OPENCODE_CONFIG=/nairid/mcp.json");
    assert_int_equal(plan_make(&policy, &p, NULL), 0);
    for (size_t i = 0; i < p->env.len; i++)
        is_moved |= strcmp(p->env.items[i],
                           "OPENCODE_CONFIG=/srv/jobs/j/home/" PLAN_BARE_SCRATCH "/mcp.json") == 0;
    assert_true(is_moved);
    /* all on the machine may read arguments, and nobody else what is in a task's own directory */
    assert_string_equal(p->argv.items[1],
                        "--mcp-config=/srv/jobs/j/home/" PLAN_BARE_SCRATCH "/mcp.json");
    assert_int_equal(p->links.len, 6);
    assert_string_equal(p->links.items[0], "/srv/jobs/j/home/.claude/rules");
    assert_string_equal(p->links.items[1], "/srv/set/rules");
    assert_string_equal(p->links.items[3], ""); /* what was there goes */
    assert_string_equal(p->links.items[4], "/srv/jobs/j/home/" PLAN_BARE_SCRATCH "/mcp.json");
    assert_string_equal(p->links.items[5], "/srv/set/mcp.json");
    plan_encode(p, &bytes);
    assert_int_equal(plan_decode(bytes.data, bytes.len, &decoded, NULL), 0);
    assert_int_equal(decoded->links.len, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_be_mounted_becomes_rules_on_the_hosts_paths),
        cmocka_unit_test(what_the_control_plane_provides_is_linked_into_the_home),
        cmocka_unit_test(what_that_rung_cannot_do_is_refused),
        cmocka_unit_test(as_root_it_takes_a_user_of_its_own),
        cmocka_unit_test(an_order_to_run_as_an_account_is_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
