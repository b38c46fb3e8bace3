#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "sandbox/plan.h"
#include "support/profiles.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"
#include "util/strv.h"

static struct plan *make_with(const char *allow, const char *needs, uid_t uid, struct err *err)
{
    CLEANUP(strv_done) struct strv argv = { 0 }, allowed = { 0 }, needed = { 0 };
    struct plan *plan = NULL;
    const struct plan_policy policy = { .profile = profiles_get("agent"),
                                        .network = PLAN_NETWORK_ALLOWLIST,
                                        .allow = &allowed,
                                        .needs = &needed,
                                        .origins = { [PLAN_WORD_ALLOW] = "x.yaml:3:1" },
                                        .runner = "claude",
                                        .egress_uid = 70000,
                                        .workspace = "/srv/w",
                                        .argv = &argv,
                                        .uid = uid,
                                        .task_uid = 70001 };

    strv_add(&argv, "sh");
    strv_add(&allowed, allow);
    strv_add(&needed, needs);
    return plan_make(&policy, &plan, err) < 0 ? NULL : plan;
}

/* A plan with these places, read back from its encoding. */
static struct plan *plan_with(const char *allow, const char *needs, uid_t uid, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *plan = make_with(allow, needs, uid, err);
    CLEANUP(buf_done) struct buf b = { 0 };
    struct plan *back = NULL;

    if (!plan)
        return NULL;
    plan_encode(plan, &b);
    assert_int_equal(plan_decode(b.data, b.len, &back, err), 0);
    return back;
}

static const char *variable(const struct plan *p, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < p->env.len; i++)
        if (strncmp(p->env.items[i], name, len) == 0 && p->env.items[i][len] == '=')
            return p->env.items[i] + len + 1;
    return "";
}

static void places_come_in_one_form_with_who_allows_them(void **state)
{
    CLEANUP_PTR(plan_free) struct plan *p = make_with("Example.ORG.:443", "a.test:*", 0, NULL);
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    assert_int_equal(p->host_count, 2);
    assert_string_equal(p->hosts[0].text, "example.org:443");
    assert_int_equal(p->egress_uid, 70000);
    plan_explain(p, &b);
    assert_non_null(
        strstr(buf_str(&b), "reachable  example.org:443 [sandbox.network.allow, x.yaml:3:1]\n"));
    assert_non_null(strstr(buf_str(&b), "reachable  a.test:* [the runner claude]\n"));
}

static void one_that_both_want_is_there_once(void **state)
{
    CLEANUP_PTR(plan_free) struct plan *p = plan_with("a.test:443", "A.test:443", 1000, NULL);

    (void)state;
    assert_int_equal(p->host_count, 1);
    assert_int_equal(p->egress_uid, 0); /* an ordinary user has no other */
}

static void what_is_no_place_is_refused_with_its_origin(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_null(plan_with("example.org", "a.test:443", 0, &err));
    assert_true(str_starts_with(err.text, "sandbox.network.allow, x.yaml:3:1: 'example.org'"));
}

static void programs_are_told_of_the_proxy_and_of_their_own_loopback(void **state)
{
    static const char *const names[] = {
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "npm_config_proxy",
        "npm_config_https_proxy",
        "YARN_HTTP_PROXY",
        "YARN_HTTPS_PROXY",
        "GLOBAL_AGENT_HTTP_PROXY",
        "GLOBAL_AGENT_HTTPS_PROXY",
    };
    static const char *const without[] = { "no_proxy", "NO_PROXY", "npm_config_noproxy",
                                           "GLOBAL_AGENT_NO_PROXY" };
    CLEANUP_PTR(plan_free) struct plan *p = plan_with("a.test:443", "b.test:443", 0, NULL);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_string_equal(variable(p, names[i]), "http://127.0.0.1:808");
    for (size_t i = 0; i < ARRAY_SIZE(without); i++)
        assert_string_equal(variable(p, without[i]), "localhost,127.0.0.1,::1");
    assert_string_equal(variable(p, "NODE_USE_ENV_PROXY"), "1");
    assert_non_null(strstr(variable(p, "JAVA_TOOL_OPTIONS"), "-Dhttp.proxyHost=127.0.0.1 "));
    assert_non_null(strstr(variable(p, "JAVA_TOOL_OPTIONS"), "-Dhttps.proxyPort=808"));
}

static void a_loopback_that_is_named_is_the_hosts(void **state)
{
    CLEANUP_PTR(plan_free) struct plan *p = plan_with("127.0.0.1:8080", "[::1]:80", 0, NULL);

    (void)state;
    assert_string_equal(variable(p, "NO_PROXY"), "localhost");
}

/* Or its signals would reach the proxy, and what guards the memory of one user from another is
 * gone. */
static void no_proxy_runs_as_its_task(void **state)
{
    CLEANUP_PTR(plan_free) struct plan *p = plan_with("a.test:443", "a.test:443", 0, NULL);
    CLEANUP(strv_done) struct strv argv = { 0 };
    CLEANUP(buf_done) struct buf b = { 0 };
    struct plan_policy policy = { .profile = profiles_get("agent"),
                                  .network = PLAN_NETWORK_ALLOWLIST,
                                  .workspace = "/srv/w",
                                  .argv = &argv,
                                  .egress_uid = 70001,
                                  .task_uid = 70001 };
    struct plan *back = NULL;
    struct err err = { 0 };

    (void)state;
    strv_add(&argv, "sh");
    assert_int_equal(plan_make(&policy, &back, &err), -EINVAL);
    assert_non_null(strstr(err.text, "a user id of its own"));
    p->egress_uid = p->outer_uid;
    plan_encode(p, &b);
    assert_int_equal(plan_decode(b.data, b.len, &back, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_come_in_one_form_with_who_allows_them),
        cmocka_unit_test(one_that_both_want_is_there_once),
        cmocka_unit_test(what_is_no_place_is_refused_with_its_origin),
        cmocka_unit_test(programs_are_told_of_the_proxy_and_of_their_own_loopback),
        cmocka_unit_test(a_loopback_that_is_named_is_the_hosts),
        cmocka_unit_test(no_proxy_runs_as_its_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
