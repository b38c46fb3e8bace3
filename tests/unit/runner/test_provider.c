/* How keys of models stay out of tasks, for programs that work with several. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/provider.h"
#include "settings/allow.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/strv.h"

#define TEXT(s) ((char[]){ s })

static const struct provider two[] = {
    { .broker = "openai",
      .variable = "OPENAI_BASE_URL",
      .path = "/v1",
      .url = "https://api.openai.com/v1",
      .keys = { { "OPENAI_API_KEY", "authorization", "Bearer" } } },
    { .broker = "anthropic",
      .path = "",
      .url = "https://api.anthropic.com",
      .keys = { { "ANTHROPIC_API_KEY", "x-api-key", "" },
                { "ANTHROPIC_AUTH_TOKEN", "authorization", "Bearer" } } },
};
static const struct provider_login logins[] = {
    { .variable = "PERSON_TOKEN", .warning = "a person's" },
    { .variable = "USE_CLOUD", .warning = "a cloud's", .is_instead = true },
};
static const struct provider_set set = {
    .product = "It", .providers = two, .provider_count = 2, .logins = logins, .login_count = 2
};

/* Settings with up to two variables and a secret. */
struct given {
    struct settings s;
    struct settings_pair env[2], secrets[1];
};

static struct settings *give(struct given *g, const char *const pairs[2][2], const char *secret)
{
    static char mode[] = "allowlist", file[] = "/etc/key";

    *g = (struct given){ .s = { .runner_broker = true, .sandbox_network_mode = mode } };
    g->s.runner_env.items = g->env;
    g->s.runner_secrets.items = g->secrets;
    for (size_t i = 0; i < 2 && pairs && pairs[i][0]; i++) {
        g->env[i].name = (char *)(uintptr_t)pairs[i][0];
        g->env[i].value = (char *)(uintptr_t)pairs[i][1];
        g->s.runner_env.len++;
    }
    if (secret) {
        g->secrets[0].name = (char *)(uintptr_t)secret;
        g->secrets[0].value = file;
        g->s.runner_secrets.len = 1;
    }
    return &g->s;
}

static void assert_address(const struct settings *s, const struct provider *p, const char *want)
{
    AUTO_FREE char *address = provider_address(&set, p, s);

    assert_string_equal(address, want);
}

static void assert_hosts(const struct settings *s, const char *want)
{
    CLEANUP(strv_done) struct strv hosts = { 0 };
    CLEANUP(buf_done) struct buf b = { 0 };

    provider_add_hosts(&set, s, &hosts);
    for (size_t i = 0; i < hosts.len; i++)
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", hosts.items[i]);
    assert_string_equal(buf_str(&b), want);
}

static void a_key_is_brokered_by_default_wherever_it_comes_from(void **state)
{
    CLEANUP(broker_done_all) struct broker_list list = { 0 };
    const char *const pairs[2][2] = { { "OPENAI_API_KEY", "k" } };
    struct given g;
    const struct settings *s = give(&g, pairs, "ANTHROPIC_AUTH_TOKEN");

    (void)state;
    provider_add_brokers(&set, s, &list);
    assert_int_equal(list.len, 2);
    assert_string_equal(list.items[0].key_variable, "OPENAI_API_KEY");
    assert_null(list.items[0].key_file);
    assert_string_equal(list.items[0].upstream, "https://api.openai.com");
    assert_int_equal(list.items[0].grants, 0);
    assert_string_equal(list.items[1].key_file, "/etc/key");
    assert_string_equal(list.items[1].header, "authorization");
    assert_string_equal(list.items[1].scheme, "Bearer");
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(broker_check(&list.items[i], NULL), 0);
    assert_address(s, &two[0], "http://127.0.0.1:808/openai/v1");
    assert_address(s, &two[1], "http://127.0.0.1:808/anthropic");
    assert_true(provider_keeps(&set, s, "OPENAI_API_KEY"));
    assert_true(provider_keeps(&set, s, "OPENAI_BASE_URL"));
    assert_true(provider_keeps(&set, s, "ANTHROPIC_API_KEY"));
    assert_false(provider_keeps(&set, s, "PATH"));
    assert_null(provider_exposed(&set, s));
    assert_hosts(s, "");
}

static void one_key_brokers_one_api_and_only_that(void **state)
{
    struct given g;
    const struct settings *s = give(&g, NULL, "ANTHROPIC_API_KEY");

    (void)state;
    assert_true(provider_is_brokered(&set, &two[1], s));
    assert_false(provider_is_brokered(&set, &two[0], s));
    assert_false(provider_has_key(&set, &two[0], s));
    assert_false(provider_keeps(&set, s, "OPENAI_API_KEY"));
    assert_hosts(s, "");
    s = give(&g, NULL, NULL);
    assert_false(provider_has_any(&set, s));
    assert_hosts(s, "api.openai.com:443");
}

static void another_address_is_asked_with_its_own_paths(void **state)
{
    static const struct {
        const char *url, *upstream, *address, *path;
    } rows[] = {
        { "https://gate.example/v1", "https://gate.example", "http://127.0.0.1:808/openai/v1",
          "/v1/responses" },
        { "https://gate.example/v1/", "https://gate.example", "http://127.0.0.1:808/openai/v1",
          "/v1/responses" },
        { "https://gate.example/a/v1", "https://gate.example/a", "http://127.0.0.1:808/openai/v1",
          "/v1/responses" },
        { "https://gate.example/a", "https://gate.example/a", "http://127.0.0.1:808/openai",
          "/responses" },
        { "http://127.0.0.1:9/", "http://127.0.0.1:9", "http://127.0.0.1:808/openai",
          "/responses" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(broker_done_all) struct broker_list list = { 0 };
        const char *const pairs[2][2] = { { "OPENAI_BASE_URL", rows[i].url } };
        struct given g;
        const struct settings *s = give(&g, pairs, "OPENAI_API_KEY");

        provider_add_brokers(&set, s, &list);
        assert_int_equal(list.len, 1);
        assert_string_equal(list.items[0].upstream, rows[i].upstream);
        assert_int_equal(list.items[0].grants, ALLOW_PRIVATE | ALLOW_LOOPBACK);
        assert_int_equal(broker_check(&list.items[0], NULL), 0);
        assert_address(s, &two[0], rows[i].address);
        assert_string_equal(list.items[0].paths.items[1], rows[i].path);
        assert_int_equal(provider_check(&set, s, NULL), 0);
    }
}

static void without_a_broker_the_key_is_exposed_and_its_host_reached(void **state)
{
    const char *const pairs[2][2] = { { "OPENAI_BASE_URL", "https://gate.example/a" } };
    struct given g;
    struct settings *s = give(&g, pairs, "OPENAI_API_KEY");
    struct err err = { 0 };

    (void)state;
    s->runner_broker = false;
    assert_non_null(strstr(provider_exposed(&set, s), "runner.broker is off"));
    assert_false(provider_keeps(&set, s, "OPENAI_API_KEY"));
    assert_address(s, &two[0], "https://gate.example/a");
    assert_hosts(s, "gate.example:443 private loopback");
    s->sandbox_network_mode = TEXT("none");
    assert_int_equal(provider_check(&set, s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "leaves It no way to its model"));
}

static void logins_are_told_and_some_take_the_keys_place(void **state)
{
    const char *const person[2][2] = { { "PERSON_TOKEN", "t" } };
    const char *const cloud[2][2] = { { "USE_CLOUD", "1" } };
    struct given g;
    const struct settings *s = give(&g, person, "OPENAI_API_KEY");

    (void)state;
    assert_string_equal(provider_exposed(&set, s), "a person's");
    assert_true(provider_is_brokered(&set, &two[0], s));
    s = give(&g, cloud, "OPENAI_API_KEY");
    assert_string_equal(provider_exposed(&set, s), "a cloud's");
    assert_false(provider_any_brokered(&set, s));
    s = give(&g, cloud, NULL);
    assert_true(provider_has_any(&set, s));
}

static void an_entry_of_the_operators_takes_the_place_of_ours(void **state)
{
    CLEANUP(broker_done_all) struct broker_list list = { 0 };
    struct broker theirs = { .name = TEXT("openai") };
    struct given g;
    struct settings *s = give(&g, NULL, "OPENAI_API_KEY");

    (void)state;
    s->broker = (struct broker_list){ .items = &theirs, .len = 1 };
    provider_add_brokers(&set, s, &list);
    assert_int_equal(list.len, 0);
    assert_true(provider_is_brokered(&set, &two[0], s));
    assert_true(provider_keeps(&set, s, "OPENAI_API_KEY"));
    assert_address(s, &two[0], "http://127.0.0.1:808/openai/v1");
}

/* Its host couldn't be let through, and the password would stand in a program's arguments. */
static void an_address_with_a_password_is_refused_without_a_broker_too(void **state)
{
    const char *const pairs[2][2] = { { "OPENAI_BASE_URL", "https://me:word@gate.example/v1" } };
    struct given g;
    struct settings *s = give(&g, pairs, "OPENAI_API_KEY");
    struct err err = { 0 };

    (void)state;
    s->runner_broker = false;
    assert_int_equal(provider_check(&set, s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "OPENAI_BASE_URL is no address"));
    assert_null(strstr(err.text, "word@"));
    s->runner_env.items[0].value = TEXT("https://gate.example/v1");
    assert_int_equal(provider_check(&set, s, &err), 0);
}

static void what_can_not_be_brokered_is_refused_by_name(void **state)
{
    const char *const pairs[2][2] = { { "OPENAI_BASE_URL", "http://gate.example/v1" } };
    struct given g;
    struct settings *s = give(&g, pairs, "OPENAI_API_KEY");
    struct err err = { 0 };

    (void)state;
    assert_int_equal(provider_check(&set, s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "OPENAI_BASE_URL can't be brokered"));
    assert_non_null(strstr(err.text, "want https"));
    s->runner_env.items[0].name = TEXT("OPENAI_API_KEY");
    s->runner_secrets.items[0].name = TEXT("OPENAI_BASE_URL");
    assert_int_equal(provider_check(&set, s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "OPENAI_BASE_URL belongs in runner.env"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_brokered_by_default_wherever_it_comes_from),
        cmocka_unit_test(one_key_brokers_one_api_and_only_that),
        cmocka_unit_test(another_address_is_asked_with_its_own_paths),
        cmocka_unit_test(without_a_broker_the_key_is_exposed_and_its_host_reached),
        cmocka_unit_test(logins_are_told_and_some_take_the_keys_place),
        cmocka_unit_test(an_entry_of_the_operators_takes_the_place_of_ours),
        cmocka_unit_test(an_address_with_a_password_is_refused_without_a_broker_too),
        cmocka_unit_test(what_can_not_be_brokered_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
