#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sandbox/plan.h"
#include "settings/profile.h"
#include "support/profiles.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

/* ---- helpers ---- */

struct lists {
    struct strv argv, env, read, write;
};

static int setup(void **state)
{
    struct lists *l = mem_new(struct lists);

    strv_add(&l->argv, "sh");
    strv_add(&l->argv, "-c");
    strv_add(&l->argv, "echo hello");
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct lists *l = *state;

    strv_done(&l->argv);
    strv_done(&l->env);
    strv_done(&l->read);
    strv_done(&l->write);
    free(l);
    return 0;
}

static struct plan_policy usual(const struct lists *l)
{
    return (struct plan_policy){ .profile = profiles_get("agent"),
                                 .workspace = "/srv/jobs/j1/workspace",
                                 .home = "/srv/jobs/j1/home",
                                 .argv = &l->argv,
                                 .env = &l->env,
                                 .read = &l->read,
                                 .write = &l->write,
                                 .memory_bytes = 4ull << 30,
                                 .disk_bytes = 10ull << 30,
                                 .pids = 512,
                                 .files = 4096,
                                 .cpu_percent = 200,
                                 .tree_bytes = 10ull << 30,
                                 .cpu_time_ms = 7200 * 1000,
                                 .uid = 1001 };
}

static struct plan *must_make(const struct plan_policy *policy)
{
    struct plan *p = NULL;
    struct err err = { 0 };

    if (plan_make(policy, &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

/* It is refused, with a sentence that names the word. */
static void must_refuse(const struct plan_policy *policy, const char *word)
{
    struct plan *p = NULL;
    struct err err = { 0 };

    assert_int_equal(plan_make(policy, &p, &err), -EINVAL);
    assert_null(p);
    if (!strstr(err.text, word))
        fail_msg("'%s' doesn't name '%s'", err.text, word);
    assert_int_equal(plan_make(policy, &p, NULL), -EINVAL); /* without a place for the sentence */
}

static const struct plan_step *find_step(const struct plan *p, const char *target)
{
    for (size_t i = 0; i < p->step_count; i++)
        if (strcmp(p->steps[i].target, target) == 0)
            return &p->steps[i];
    fail_msg("no step for '%s'", target);
    return p->steps; /* not reached */
}

static size_t index_of(const struct plan *p, const char *target)
{
    return (size_t)(find_step(p, target) - p->steps);
}

static uint32_t rights_of(const struct plan *p, const char *path)
{
    for (size_t i = 0; i < p->rule_count; i++)
        if (strcmp(p->rules[i].path, path) == 0)
            return p->rules[i].rights;
    return 0;
}

static bool has_env(const struct plan *p, const char *pair)
{
    for (size_t i = 0; i < p->env.len; i++)
        if (strcmp(p->env.items[i], pair) == 0)
            return true;
    return false;
}

/* ---- what is planned ---- */

static void workspace_and_home_are_the_only_writable_places_of_the_host(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP_PTR(plan_free) struct plan *p = must_make(&policy);

    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];

        if (s->type != PLAN_STEP_BIND || !(s->flags & PLAN_WRITABLE) || (s->flags & PLAN_DEVICE))
            continue;
        assert_true(strcmp(s->target, PLAN_WORKSPACE) == 0 || strcmp(s->target, PLAN_HOME) == 0);
    }
    assert_string_equal(find_step(p, PLAN_WORKSPACE)->text, policy.workspace);
    assert_string_equal(find_step(p, PLAN_HOME)->text, policy.home);
    assert_int_equal(rights_of(p, PLAN_WORKSPACE), PLAN_RIGHTS_ALL);
    assert_int_equal(rights_of(p, "/usr") & (PLAN_MAY_CHANGE | PLAN_MAY_WRITE), 0);
    assert_int_equal(rights_of(p, "/"), PLAN_MAY_LIST);
}

static void no_profile_shows_homes_run_or_var_of_the_host(void **state)
{
    static const char *const profiles[] = { "strict", "agent", "host" };
    static const char *const hidden[] = { "/root", "/run",  "/var/lib", "/home",
                                          "/sys",  "/boot", "/mnt",     "/media" };
    struct plan_policy policy = usual(*state);

    for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
        CLEANUP_PTR(plan_free) struct plan *p = NULL;

        policy.profile = profiles_get(profiles[i]);
        p = must_make(&policy);
        assert_string_equal(p->profile, profiles[i]);
        for (size_t k = 0; k < p->step_count; k++)
            for (size_t h = 0; p->steps[k].type == PLAN_STEP_BIND && h < ARRAY_SIZE(hidden); h++)
                assert_string_not_equal(p->steps[k].text, hidden[h]);
    }
}

static void a_read_only_workspace_can_be_neither_mounted_nor_ruled_writable(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    policy.workspace_read_only = true;
    p = must_make(&policy);
    assert_int_equal(find_step(p, PLAN_WORKSPACE)->flags & PLAN_WRITABLE, 0);
    assert_int_equal(rights_of(p, PLAN_WORKSPACE) & (PLAN_MAY_CHANGE | PLAN_MAY_WRITE), 0);
}

static void attachments_are_shown_to_be_read_and_nothing_else(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP_PTR(plan_free) struct plan *p = must_make(&policy), *with = NULL, *none = NULL;
    const struct plan_step *step;

    for (size_t i = 0; i < p->step_count; i++)
        assert_string_not_equal(p->steps[i].target, PLAN_ATTACHMENTS);
    policy.attachments = "/srv/jobs/job_1/attachments";
    with = must_make(&policy);
    step = find_step(with, PLAN_ATTACHMENTS);
    assert_int_equal(step->type, PLAN_STEP_BIND);
    assert_string_equal(step->text, policy.attachments);
    assert_int_equal(step->flags, PLAN_NOEXEC);
    assert_int_equal(rights_of(with, PLAN_ATTACHMENTS), PLAN_MAY_LIST | PLAN_MAY_READ);
    assert_int_equal(plan_place_of(with, PLAN_ATTACHMENTS "/m/a"), PLAN_PLACE_OWN);
    assert_int_equal(with->step_count, p->step_count + 1);
    policy.attachments = "/srv/../x";
    assert_int_equal(plan_make(&policy, &none, NULL), -EINVAL);
}

static void without_a_home_there_is_a_private_one_of_bounded_size(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    policy.home = NULL;
    p = must_make(&policy);
    assert_int_equal(find_step(p, PLAN_HOME)->type, PLAN_STEP_TMPFS);
    assert_int_equal(find_step(p, PLAN_HOME)->size_bytes, 1u << 30);
}

static void private_places_have_a_share_of_the_memory(void **state)
{
    struct plan_policy policy = usual(*state);

    for (uint64_t memory = 0; memory <= 8ull << 30; memory = memory ? memory * 8 : 1 << 20) {
        CLEANUP_PTR(plan_free) struct plan *p = NULL;
        uint64_t tmp, shm;

        policy.memory_bytes = memory;
        p = must_make(&policy);
        tmp = find_step(p, "/tmp")->size_bytes;
        shm = find_step(p, "/dev/shm")->size_bytes;
        assert_in_range(tmp, 16 << 20, memory > 256 << 20 ? memory : 256 << 20);
        assert_in_range(shm, 16 << 20, tmp);
    }
}

static void every_target_has_its_parents_before_it(void **state)
{
    struct lists *l = *state;
    struct plan_policy policy = usual(l);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    strv_add(&l->read, "/data/models/a/b");
    strv_add(&l->write, "/data/out");
    p = must_make(&policy);
    for (size_t i = 0; i < p->step_count; i++) {
        AUTO_FREE char *parent = mem_strdup(p->steps[i].target);
        bool made;

        *strrchr(parent, '/') = '\0';
        made = parent[0] == '\0';
        for (size_t k = 0; k < i && !made; k++)
            made = strcmp(p->steps[k].target, parent) == 0;
        if (!made)
            fail_msg("'%s' comes without '%s'", p->steps[i].target, parent);
    }
}

static void the_operators_paths_come_from_above_to_below(void **state)
{
    struct lists *l = *state;
    struct plan_policy policy = usual(l);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    strv_add(&l->read, "/data/models/deep");
    strv_add(&l->read, "/data");
    strv_add(&l->write, "/data/models");
    strv_add(&l->read, "/data/models");
    p = must_make(&policy);
    assert_true(index_of(p, "/data") < index_of(p, "/data/models"));
    assert_true(index_of(p, "/data/models") < index_of(p, "/data/models/deep"));
    assert_int_equal(find_step(p, "/data")->flags, 0); /* must be there, read-only */
    /* named twice, it is writable */
    assert_int_equal(find_step(p, "/data/models")->flags, PLAN_WRITABLE);
    assert_true(rights_of(p, "/data/models") & PLAN_MAY_CHANGE);
    assert_false(rights_of(p, "/data") & PLAN_MAY_CHANGE);
}

static void paths_in_tmp_come_after_the_private_tmp(void **state)
{
    struct lists *l = *state;
    struct plan_policy policy = usual(l);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    strv_add(&l->write, "/tmp/shared/by/all");
    p = must_make(&policy);
    assert_true(index_of(p, "/tmp") < index_of(p, "/tmp/shared"));
    assert_int_equal(find_step(p, "/tmp/shared")->type, PLAN_STEP_DIR);
    assert_true(index_of(p, "/tmp/shared/by") < index_of(p, "/tmp/shared/by/all"));
}

static void the_environment_is_made_from_nothing(void **state)
{
    struct lists *l = *state;
    struct plan_policy policy = usual(l);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    assert_int_equal(setenv("PLAN_TEST_SECRET", "x", 1), 0);
    strv_add(&l->env, "NAME=value=with=equals");
    strv_add(&l->env, "EMPTY=");
    strv_add(&l->env, "LANG=de_DE.UTF-8");
    strv_add(&l->env, "NAME=last");
    p = must_make(&policy);
    assert_true(has_env(p, "HOME=" PLAN_HOME));
    assert_true(has_env(p, "USER=agent"));
    assert_true(has_env(p, "TMPDIR=/tmp"));
    assert_true(has_env(p, "LANG=de_DE.UTF-8"));
    assert_false(has_env(p, "LANG=C.UTF-8"));
    assert_true(has_env(p, "EMPTY="));
    assert_true(has_env(p, "NAME=last"));
    assert_false(has_env(p, "NAME=value=with=equals"));
    assert_int_equal(p->env.len, 10);
}

static void a_bare_name_is_looked_up_in_the_sandboxs_path(void **state)
{
    struct lists *l = *state;
    struct plan_policy policy = usual(l);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    strv_add(&l->env, "PATH=/opt/a:relative::/b");
    p = must_make(&policy);
    assert_int_equal(p->programs.len, 2);
    assert_string_equal(p->programs.items[0], "/opt/a/sh");
    assert_string_equal(p->programs.items[1], "/b/sh");
}

static void a_path_is_taken_as_it_stands(void **state)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    struct plan_policy policy = usual(*state);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    strv_add(&argv, "./run.sh");
    policy.argv = &argv;
    p = must_make(&policy);
    assert_int_equal(p->programs.len, 1);
    assert_string_equal(p->programs.items[0], "./run.sh");
}

static void each_path_has_its_place(void **state)
{
    static const struct {
        const char *path;
        enum plan_place place;
    } cases[] = {
        { "/usr/bin/sh", PLAN_PLACE_HOST },
        { "/bin/sh", PLAN_PLACE_HOST },
        { "/usr", PLAN_PLACE_HOST },
        { "/usrx", PLAN_PLACE_NONE },
        { "/opt/tool", PLAN_PLACE_NONE },
        { "/root/tool", PLAN_PLACE_NONE },
        { "/srv/shown/tool", PLAN_PLACE_HOST },
        { "/srv/other", PLAN_PLACE_NONE },
        { "/srv", PLAN_PLACE_NONE },
        { "/tmp/tool", PLAN_PLACE_OWN },
        { "/tmp/shown/tool", PLAN_PLACE_HOST },
        { PLAN_WORKSPACE "/run.sh", PLAN_PLACE_OWN },
        { PLAN_HOME "/bin/x", PLAN_PLACE_OWN },
        { "/etc/hosts", PLAN_PLACE_OWN },
        { "/etc/ssl/certs", PLAN_PLACE_HOST },
        { "/var/tmp/tool", PLAN_PLACE_OWN },
    };
    struct lists *l = *state;
    struct plan_policy policy = usual(l);
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    strv_add(&l->read, "/srv/shown");
    strv_add(&l->read, "/tmp/shown");
    p = must_make(&policy);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (plan_place_of(p, cases[i].path) != cases[i].place)
            fail_msg("%s: %d", cases[i].path, (int)plan_place_of(p, cases[i].path));
}

static void as_root_a_task_has_another_user(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP_PTR(plan_free) struct plan *p = must_make(&policy), *root = NULL;

    assert_false(p->as_root);
    assert_int_equal(p->outer_uid, 1001);
    policy.uid = 0;
    policy.task_uid = 70000;
    root = must_make(&policy);
    assert_true(root->as_root);
    assert_int_equal(root->outer_uid, 70000);
}

static void on_the_hosts_network_the_hosts_names_are_shown(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP_PTR(plan_free) struct plan *none = must_make(&policy), *host = NULL;

    policy.network = PLAN_NETWORK_HOST;
    host = must_make(&policy);
    assert_int_equal(find_step(none, "/etc/hosts")->type, PLAN_STEP_FILE);
    assert_int_equal(find_step(host, "/etc/hosts")->type, PLAN_STEP_BIND);
}

/* ---- what is refused ---- */

static void the_hosts_user_0_is_refused(void **state)
{
    struct plan_policy policy = usual(*state);

    policy.uid = 0;
    policy.task_uid = 0;
    must_refuse(&policy, "user id");
    policy.task_uid = (uid_t)-1;
    must_refuse(&policy, "user id");
}

static void places_that_no_task_may_have_are_refused(void **state)
{
    static const char *const bad[] = { "",      "relative", "/",       "/a/../b",     "/a/./b",
                                       "/a//b", "/proc",    "/proc/1", "/sys/kernel", "/dev/shm",
                                       "/a/",   "/.." };
    struct plan_policy policy = usual(*state);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        policy.workspace = bad[i];
        must_refuse(&policy, "workspace");
    }
    policy.workspace = NULL;
    must_refuse(&policy, "workspace");
    policy = usual(*state);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        policy.home = bad[i];
        must_refuse(&policy, "home");
    }
}

static void paths_that_would_break_a_wall_are_refused(void **state)
{
    static const char *const bad[] = {
        "/",    "",     "x",          "/a/../etc",    "/proc", "/proc/1",
        "/dev", "/sys", "/workspace", "/workspace/x", "/home", "/home/agent/x",
        "/tmp", "/var", "/var/tmp"
    };
    static const char *const unwritable[] = { "/usr",   "/bin", "/sbin", "/lib",
                                              "/lib64", "/etc", "/boot" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        for (int writable = 0; writable < 2; writable++) {
            CLEANUP(strv_done) struct strv list = { 0 };
            struct plan_policy policy = usual(*state);

            strv_add(&list, bad[i]);
            if (writable)
                policy.write = &list;
            else
                policy.read = &list;
            must_refuse(&policy, writable ? "sandbox.write" : "sandbox.read");
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(unwritable); i++) {
        CLEANUP(strv_done) struct strv list = { 0 };
        struct plan_policy policy = usual(*state);

        strv_add(&list, unwritable[i]);
        policy.write = &list;
        must_refuse(&policy, unwritable[i]);
        policy.write = NULL;
        policy.read = &list;
        if (strcmp(unwritable[i], "/boot") != 0)
            continue;
        plan_free(must_make(&policy)); /* reading is another matter */
    }
}

static void too_many_or_too_deep_paths_are_refused(void **state)
{
    CLEANUP(strv_done) struct strv many = { 0 }, deep = { 0 };
    CLEANUP(buf_done) struct buf b = { 0 };
    struct plan_policy policy = usual(*state);

    for (int i = 0; i <= PLAN_EXTRA_MAX; i++)
        strv_add(&many, "/data");
    policy.read = &many;
    must_refuse(&policy, "sandbox.read");
    for (int i = 0; i < 1500; i++)
        buf_append_str(&b, "/d");
    strv_add(&deep, buf_str(&b));
    policy.read = &deep;
    must_refuse(&policy, "steps");
}

static void a_missing_program_is_refused(void **state)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    struct plan_policy policy = usual(*state);

    policy.argv = NULL;
    must_refuse(&policy, "program");
    policy.argv = &argv;
    must_refuse(&policy, "program");
    strv_add(&argv, "");
    must_refuse(&policy, "program");
}

static void a_variable_without_a_name_is_refused(void **state)
{
    static const char *const bad[] = { "", "NAME", "=value" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(strv_done) struct strv env = { 0 };
        struct plan_policy policy = usual(*state);

        strv_add(&env, bad[i]);
        policy.env = &env;
        must_refuse(&policy, "NAME=value");
    }
}

static void what_execve_would_not_take_is_refused(void **state)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    struct plan_policy policy = usual(*state);
    AUTO_FREE char *large = mem_alloc(PLAN_STRING_MAX + 1);

    memset(large, 'x', PLAN_STRING_MAX);
    strv_add(&argv, "sh");
    strv_add(&argv, large);
    policy.argv = &argv;
    must_refuse(&policy, "too large");
    argv.items[1][PLAN_STRING_MAX - 1] = '\0';
    plan_free(must_make(&policy));
    for (int i = 0; i < 8; i++)
        strv_add(&argv, argv.items[1]);
    must_refuse(&policy, "too large");
}

/* ---- bytes ---- */

static void encode(const struct plan_policy *policy, struct buf *b)
{
    CLEANUP_PTR(plan_free) struct plan *p = must_make(policy);

    plan_encode(p, b);
}

static void decoding_gives_what_was_encoded(void **state)
{
    struct lists *l = *state;
    struct plan_policy policy = usual(l);
    CLEANUP(buf_done) struct buf b = { 0 }, again = { 0 };
    CLEANUP_PTR(plan_free) struct plan *p = NULL, *back = NULL;

    strv_add(&l->write, "/data");
    strv_add(&l->argv, "");
    policy.network = PLAN_NETWORK_HOST;
    policy.profile = profiles_get("strict");
    p = must_make(&policy);
    plan_encode(p, &b);
    assert_true(b.len <= PLAN_BYTES_MAX);
    assert_int_equal(plan_decode(b.data, b.len, &back, NULL), 0);
    plan_encode(back, &again);
    assert_int_equal(again.len, b.len);
    assert_memory_equal(again.data, b.data, b.len);
    assert_int_equal(back->calls, policy.profile->calls);
    assert_int_equal(back->network, PLAN_NETWORK_HOST);
    assert_int_equal(back->outer_uid, 1001);
    assert_int_equal(back->pids, 512);
    assert_int_equal(back->step_count, p->step_count);
}

static void every_cut_of_an_encoding_is_refused(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP(buf_done) struct buf b = { 0 };

    encode(&policy, &b);
    for (size_t len = 0; len < b.len; len++) {
        AUTO_FREE char *cut =
            mem_alloc(len); /* of its own size, so that ASan sees a read past it */
        struct plan *p = NULL;

        memcpy(cut, b.data, len);
        assert_int_equal(plan_decode(cut, len, &p, NULL), -EINVAL);
        assert_null(p);
    }
    buf_append_char(&b, 0);
    assert_int_equal(plan_decode(b.data, b.len, &(struct plan *){ NULL }, NULL), -EINVAL);
}

/* Damage gives either a refusal or a plan that is sound; never more. */
static void damaged_bytes_give_no_unsound_plan(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP(buf_done) struct buf b = { 0 };
    size_t refused = 0;

    encode(&policy, &b);
    for (size_t i = 0; i < b.len; i++) {
        static const unsigned char values[] = { 0x00, 0xff, 0x80 };

        for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
            char before = b.data[i];
            struct plan *p = NULL;

            b.data[i] = (char)values[v];
            if (plan_decode(b.data, b.len, &p, NULL) < 0) {
                refused++;
            } else {
                assert_true(p->outer_uid != 0);
                assert_true(p->argv.len > 0 && p->programs.len > 0);
                for (size_t k = 0; k < p->step_count; k++)
                    assert_true(plan_path_is_plain(p->steps[k].target));
            }
            plan_free(p);
            b.data[i] = before;
        }
    }
    assert_true(refused > b.len / 2);
}

static void plans_that_no_policy_gives_are_not_decoded(void **state)
{
    struct plan_policy policy = usual(*state);

    for (int i = 0; i < 8; i++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        CLEANUP_PTR(plan_free) struct plan *p = must_make(&policy);
        struct plan *back = NULL;
        struct plan_step *step = &p->steps[p->step_count - 1];

        switch (i) {
        case 0:
            p->outer_uid = 0;
            break;
        case 1:
            p->outer_uid = (uid_t)-1;
            break;
        case 2:
            strcpy(step->target, "/here/../x");
            break;
        case 3:
            step->text[0] = 'x';
            break;
        case 4:
            step->flags = PLAN_FLAGS_ALL + 1;
            break;
        case 5:
            p->rules[0].rights = PLAN_RIGHTS_ALL + 1;
            break;
        case 6:
            p->rules[0].path[0] = 'x';
            break;
        case 7:
            p->network = PLAN_NETWORK_COUNT;
            break;
        default:
            break;
        }
        plan_encode(p, &b);
        if (plan_decode(b.data, b.len, &back, NULL) != -EINVAL)
            fail_msg("case %d was decoded", i);
    }
}

/* ---- words ---- */

static void the_explanation_names_paths_limits_and_user(void **state)
{
    struct lists *l = *state;
    struct plan_policy policy = usual(l);
    CLEANUP(buf_done) struct buf b = { 0 };
    CLEANUP_PTR(plan_free) struct plan *p = NULL;
    CLEANUP(strv_done) struct strv tools = { 0 };
    static const char *const words[] = {
        "profile    agent [sandbox.profile, x.yaml:1:1]\n",
        "read-only  /usr: list, read, execute; the host's; mount: read-only, nosuid, nodev; "
        "Landlock: list, read, execute [profile agent, line ",
        "read-only  /etc/ld.so.cache: list, read; the host's, where the host has it; mount:",
        "file       /etc/passwd: read; made",
        "writable   /data: list, read, execute, write, make, rename, remove; the host's; mount: "
        "writable, nosuid, nodev; Landlock: list, read, execute, write, make, rename, remove "
        "[sandbox.write, x.yaml:2:2]\n",
        "read-only  /opt/tool: list, read, execute; the host's; mount: read-only, nosuid, nodev; "
        "Landlock: list, read, execute [the runner claude]\n",
        "device     /dev/null: read, write;",
        "private    /proc: list, read;",
        "private    /dev/shm: list, read, write, make, rename, remove;",
        "/home/agent: list, read, execute, write, make, rename, remove; the host's "
        "/srv/jobs/j1/home; mount: writable, nosuid, nodev;",
        "limit      processes: 512 [sandbox.limits.pids, x.yaml:3:3]\n",
        "limit      memory: 4096 MiB [sandbox.limits.memory, default]\n",
        "1001 on the host",
        "network    none: a loopback of its own [profile agent, line ",
        "namespaces user, mount, pid, ipc, uts, cgroup, network [",
        "calls      programs: ",
        "condition  clone that makes a namespace: EPERM [",
        "refused    EPERM: ",
        "refused    ENOSYS: every other call",
        "variable   NAME [runner.env]\n",
        "variable   PATH [profile agent, line ",
    };

    strv_add(&l->write, "/data");
    strv_add(&l->env, "NAME=a secret value");
    strv_add(&tools, "/opt/tool");
    policy.runner_read = &tools;
    policy.runner = "claude";
    policy.env_origins = &(struct strv){ (char *[]){ (char[]){ "runner.env" } }, 1 };
    policy.origins[PLAN_WORD_PROFILE] = "x.yaml:1:1";
    policy.origins[PLAN_WORD_WRITE] = "x.yaml:2:2";
    policy.origins[PLAN_WORD_PIDS] = "x.yaml:3:3";
    p = must_make(&policy);
    plan_explain(p, &b);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (!strstr(buf_str(&b), words[i]))
            fail_msg("no '%s' in:\n%s", words[i], buf_str(&b));
    assert_null(strstr(buf_str(&b), "a secret value"));
}

/* Nothing is there of which nobody knows why. */
static void every_line_of_the_explanation_has_an_origin(void **state)
{
    static const char *const profiles[] = { "strict", "agent", "host" };
    struct plan_policy policy = usual(*state);

    for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        CLEANUP_PTR(plan_free) struct plan *p = NULL;
        char *rest, *line;

        policy.profile = profiles_get(profiles[i]);
        policy.brief = "brief";
        p = must_make(&policy);
        plan_explain(p, &b);
        rest = b.data;
        while ((line = strsep(&rest, "\n")))
            if (*line && strncmp(line, "program ", 8) != 0 &&
                (line[strlen(line) - 1] != ']' || strstr(line, "[]")))
                fail_msg("no origin: %s", line);
    }
}

static void a_step_is_described_within_its_buffer(void **state)
{
    struct plan_policy policy = usual(*state);
    CLEANUP_PTR(plan_free) struct plan *p = must_make(&policy);

    for (size_t i = 0; i < p->step_count; i++) {
        char text[12];

        plan_step_describe(&p->steps[i], text, sizeof text);
        assert_in_range(strlen(text), 1, sizeof text - 1);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void a_brief_is_a_file_that_the_task_may_only_read(void **state)
{
    struct plan_policy policy = usual(*state);
    struct plan *p;
    bool is_made = false, is_shown = false;

    policy.brief = "be brief";
    p = must_make(&policy);
    for (size_t i = 0; i < p->step_count; i++)
        is_made |= p->steps[i].type == PLAN_STEP_FILE &&
                   strcmp(p->steps[i].target, PLAN_BRIEF) == 0 &&
                   strcmp(p->steps[i].text, "be brief") == 0 && p->steps[i].mode == 0444;
    for (size_t i = 0; i < p->rule_count; i++)
        is_shown |=
            strcmp(p->rules[i].path, PLAN_BRIEF) == 0 && p->rules[i].rights == PLAN_MAY_READ;
    assert_true(is_made && is_shown);
    plan_free(p);
}

static void a_brief_that_is_too_long_is_refused_with_its_size(void **state)
{
    struct plan_policy policy = usual(*state);
    AUTO_FREE char *text = mem_alloc(PLAN_BRIEF_MAX + 2);
    struct plan *p = NULL;
    struct err err = { 0 };

    memset(text, 'x', PLAN_BRIEF_MAX);
    policy.brief = text;
    plan_free(must_make(&policy));
    text[PLAN_BRIEF_MAX] = 'x';
    assert_int_equal(plan_make(&policy, &p, &err), -E2BIG);
    assert_non_null(strstr(err.text, "system prompt"));
    assert_non_null(strstr(err.text, "120 KiB"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(workspace_and_home_are_the_only_writable_places_of_the_host),
        TEST(no_profile_shows_homes_run_or_var_of_the_host),
        TEST(a_read_only_workspace_can_be_neither_mounted_nor_ruled_writable),
        TEST(attachments_are_shown_to_be_read_and_nothing_else),
        TEST(without_a_home_there_is_a_private_one_of_bounded_size),
        TEST(private_places_have_a_share_of_the_memory),
        TEST(every_target_has_its_parents_before_it),
        TEST(the_operators_paths_come_from_above_to_below),
        TEST(paths_in_tmp_come_after_the_private_tmp),
        TEST(the_environment_is_made_from_nothing),
        TEST(a_bare_name_is_looked_up_in_the_sandboxs_path),
        TEST(a_path_is_taken_as_it_stands),
        TEST(each_path_has_its_place),
        TEST(as_root_a_task_has_another_user),
        TEST(on_the_hosts_network_the_hosts_names_are_shown),
        TEST(the_hosts_user_0_is_refused),
        TEST(places_that_no_task_may_have_are_refused),
        TEST(paths_that_would_break_a_wall_are_refused),
        TEST(too_many_or_too_deep_paths_are_refused),
        TEST(a_missing_program_is_refused),
        TEST(a_variable_without_a_name_is_refused),
        TEST(what_execve_would_not_take_is_refused),
        TEST(decoding_gives_what_was_encoded),
        TEST(every_cut_of_an_encoding_is_refused),
        TEST(damaged_bytes_give_no_unsound_plan),
        TEST(plans_that_no_policy_gives_are_not_decoded),
        TEST(the_explanation_names_paths_limits_and_user),
        TEST(every_line_of_the_explanation_has_an_origin),
        TEST(a_step_is_described_within_its_buffer),
        TEST(a_brief_is_a_file_that_the_task_may_only_read),
        TEST(a_brief_that_is_too_long_is_refused_with_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
