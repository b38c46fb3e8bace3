#include "hub/route.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "util/cleanup.h"

#define P "/api/public/v1"

static void finds(const char *method, const char *path, const char *pattern, const char *target)
{
    struct route_match m;

    assert_int_equal(route_find(method, path, &m), ROUTE_FOUND);
    assert_string_equal(m.route->path, pattern);
    assert_string_equal(m.route->method, method);
    if (target)
        assert_string_equal(m.target, target);
    else
        assert_null(m.target);
    free(m.target);
}

static void every_path_of_the_api_is_found_with_its_target(void **state)
{
    (void)state;
    finds("POST", P "/conversations/start", P "/conversations/start", NULL);
    finds("POST", P "/conversations/job_1/continue", P "/conversations/{id}/continue", "job_1");
    finds("POST", P "/conversations/job_1/stop", P "/conversations/{id}/stop", "job_1");
    finds("GET", P "/conversations/job_1/messages", P "/conversations/{id}/messages", "job_1");
    finds("GET", P "/messages/cmsg_1", P "/messages/{id}", "cmsg_1");
    finds("GET", P "/agents", P "/agents", NULL);
    finds("POST", P "/agents", P "/agents", NULL);
    finds("GET", P "/agents/x", P "/agents/{agent}", "x");
    finds("PATCH", P "/agents/x", P "/agents/{agent}", "x");
    finds("GET", "/api/agents/jobs", "/api/agents/jobs", NULL);
    finds("POST", "/api/agents/messages", "/api/agents/messages", NULL);
    finds("POST", "/api/agents/messages/m/ack", "/api/agents/messages/{id}/ack", "m");
    finds("GET", "/api/agents/token", "/api/agents/token", NULL);
    finds("GET", "/api/agents/env", "/api/agents/env", NULL);
    finds("GET", "/api/agents/artifacts", "/api/agents/artifacts", NULL);
}

static void finds_item(const char *method, const char *path, const char *pattern,
                       const char *target, const char *item)
{
    struct route_match m;

    assert_int_equal(route_find(method, path, &m), ROUTE_FOUND);
    assert_string_equal(m.route->path, pattern);
    assert_string_equal(m.target, target);
    assert_string_equal(m.item, item);
    free(m.target);
    free(m.item);
}

static void a_path_with_two_targets_gives_both(void **state)
{
    (void)state;
    finds_item("PATCH", P "/vaults/v/secrets/s", P "/vaults/{id}/secrets/{id}", "v", "s");
    finds_item("DELETE", P "/agents/o/r/env-vars/e%20", P "/agents/{agent}/env-vars/{id}", "o/r",
               "e ");
    finds_item("DELETE", P "/agents/a/env-vars/b/env-vars/c", P "/agents/{agent}/env-vars/{id}",
               "a/env-vars/b", "c");
    finds("GET", P "/agents/o/r/env-vars", P "/agents/{agent}/env-vars", "o/r");
    finds("GET", P "/agents/o/env-vars%2f", P "/agents/{agent}", "o/env-vars/");
    finds("GET", P "/agents/env-vars", P "/agents/{agent}", "env-vars");
}

static void targets_are_decoded(void **state)
{
    (void)state;
    finds("GET", P "/agents/github.com/o/r", P "/agents/{agent}", "github.com/o/r");
    finds("GET", P "/agents/github.com%2Fo%2fr", P "/agents/{agent}", "github.com/o/r");
    finds("GET", P "/messages/a%20b%C3%BC", P "/messages/{id}", "a b\xc3\xbc");
    finds("GET", P "/messages/a%2Fb", P "/messages/{id}", "a/b");
}

static void unknown_paths_are_not_found(void **state)
{
    static const char *const paths[] = {
        "",
        "/",
        P,
        P "/",
        P "/agents/",
        P "/messages",
        P "/messages/",
        P "/messages/a/b",
        P "/conversations//messages",
        P "/conversations/a/b/messages",
        P "/conversations/messages",
        "/api/agents",
        "/api/agents/jobs/",
        "/api/agents/messages//ack",
        "/API/agents/jobs",
        "/api/agents/jobsx",
        "*",
    };
    struct route_match m;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        assert_int_equal(route_find("GET", paths[i], &m), ROUTE_NO_PATH);
}

static void a_wrong_method_names_the_right_ones(void **state)
{
    struct route_match m;

    (void)state;
    assert_int_equal(route_find("PUT", P "/agents/x", &m), ROUTE_NO_METHOD);
    assert_string_equal(m.allow, "GET, PATCH, DELETE");
    assert_int_equal(route_find("PUT", P "/agents/x/env-vars", &m), ROUTE_NO_METHOD);
    assert_string_equal(m.allow, "GET, POST, PATCH, DELETE");
    assert_int_equal(route_find("get", P "/agents", &m), ROUTE_NO_METHOD);
    assert_string_equal(m.allow, "GET, POST");
    assert_int_equal(route_find("GET", "/api/agents/messages/m/ack", &m), ROUTE_NO_METHOD);
    assert_string_equal(m.allow, "POST");
}

static void what_cannot_be_decoded_is_a_bad_path(void **state)
{
    static const char *const targets[] = { "%",     "a%",  "a%4", "%zz", "%00",
                                           "a%00b", "%ff", "%C3", "%4g", "%-1" };
    char path[64];
    struct route_match m;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        snprintf(path, sizeof path, P "/messages/%s", targets[i]);
        assert_int_equal(route_find("GET", path, &m), ROUTE_BAD_PATH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_of_the_api_is_found_with_its_target),
        cmocka_unit_test(a_path_with_two_targets_gives_both),
        cmocka_unit_test(targets_are_decoded),
        cmocka_unit_test(unknown_paths_are_not_found),
        cmocka_unit_test(a_wrong_method_names_the_right_ones),
        cmocka_unit_test(what_cannot_be_decoded_is_a_bad_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
