#include "runner/provider.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "settings/allow.h"
#include "settings/broker.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

static const char *find_pair(const struct settings_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->len; i++)
        if (str_eq(pairs->items[i].name, name))
            return pairs->items[i].value;
    return NULL;
}

bool provider_is_set(const struct settings *settings, const char *variable)
{
    return find_pair(&settings->runner_secrets, variable) ||
           find_pair(&settings->runner_env, variable) ||
           find_pair(&settings->runner_provided, variable);
}

const char *provider_variable(const struct settings *settings, const char *variable)
{
    return variable ? find_pair(&settings->runner_env, variable) : NULL;
}

/* The first that is there; NULL: none. */
static const struct provider_key *find_key(const struct provider *p,
                                           const struct settings *settings)
{
    for (size_t i = 0; i < ARRAY_SIZE(p->keys) && p->keys[i].variable; i++)
        if (provider_is_set(settings, p->keys[i].variable))
            return &p->keys[i];
    return NULL;
}

static bool has_any_key(const struct provider_set *set, const struct settings *settings)
{
    for (size_t i = 0; i < set->provider_count; i++)
        if (provider_has_key(set, &set->providers[i], settings))
            return true;
    return false;
}

/* Whether the program logs in by it. */
static bool counts(const struct provider_set *set, const struct provider_login *login,
                   const struct settings *settings)
{
    return provider_is_set(settings, login->variable) &&
           !(login->is_fallback && has_any_key(set, settings));
}

static bool logs_in_otherwise(const struct provider_set *set, const struct settings *settings)
{
    for (size_t i = 0; i < set->login_count; i++)
        if (set->logins[i].is_instead && provider_is_set(settings, set->logins[i].variable))
            return true;
    return false;
}

/* ---- addresses ---- */

/* Without slashes at the end, which a base URL may have. */
static size_t length_of(const char *url)
{
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        len--;
    return len;
}

static bool has_path(const struct provider *p, const char *url)
{
    size_t len = length_of(url), path = strlen(p->path);

    return len >= path && memcmp(url + len - path, p->path, path) == 0;
}

/* Another place with the same API, which the operator named: at whatever address. One whose base
 * URL hasn't the usual path has everything without that. */
static void move(struct broker *b, const struct provider *p, const char *url)
{
    bool usual = has_path(p, url);
    size_t path = strlen(p->path);

    free(b->upstream);
    b->upstream = mem_strndup(url, length_of(url) - (usual ? path : 0));
    b->grants = ALLOW_PRIVATE | ALLOW_LOOPBACK;
    for (size_t i = 0; !usual && i < b->paths.len; i++)
        if (str_starts_with(b->paths.items[i], p->path) && b->paths.items[i][path] == '/')
            memmove(b->paths.items[i], b->paths.items[i] + path,
                    strlen(b->paths.items[i] + path) + 1);
}

char *provider_address(const struct provider_set *set, const struct provider *p,
                       const struct settings *settings)
{
    const char *url = provider_variable(settings, p->variable);
    bool usual = !url || broker_find(&settings->broker, p->broker) || has_path(p, url);

    if (provider_is_brokered(set, p, settings))
        return mem_printf(BROKER_URL "/%s%s", p->broker, usual ? p->path : "");
    return mem_strdup(url ? url : p->url);
}

/* ---- brokers ---- */

static bool broker_for(const struct provider_set *set, const struct provider *p,
                       const struct settings *settings, struct broker *ret_broker)
{
    const char *url = provider_variable(settings, p->variable), *file;
    const struct provider_key *key = find_key(p, settings);

    if (!key || !settings->runner_broker || broker_find(&settings->broker, p->broker) ||
        logs_in_otherwise(set, settings))
        return false;
    file = find_pair(&settings->runner_secrets, key->variable);
    (void)broker_known(p->broker, ret_broker); /* it is */
    ret_broker->key_file = mem_strdup(file);
    ret_broker->key_variable = file ? NULL : mem_strdup(key->variable);
    free(ret_broker->header);
    ret_broker->header = mem_strdup(key->header);
    free(ret_broker->scheme);
    ret_broker->scheme = mem_strdup(key->scheme);
    if (url)
        move(ret_broker, p, url);
    return true;
}

bool provider_has_key(const struct provider_set *set, const struct provider *p,
                      const struct settings *settings)
{
    return find_key(p, settings) || provider_is_brokered(set, p, settings);
}

bool provider_is_brokered(const struct provider_set *set, const struct provider *p,
                          const struct settings *settings)
{
    CLEANUP(broker_done) struct broker own = { 0 };

    return broker_find(&settings->broker, p->broker) || broker_for(set, p, settings, &own);
}

void provider_add_brokers(const struct provider_set *set, const struct settings *settings,
                          struct broker_list *list)
{
    for (size_t i = 0; i < set->provider_count; i++) {
        struct broker own = { 0 };

        if (broker_for(set, &set->providers[i], settings, &own))
            broker_add(list, &own);
    }
}

bool provider_any_brokered(const struct provider_set *set, const struct settings *settings)
{
    if (set->takes_others && settings->broker.len > 0)
        return true;
    for (size_t i = 0; i < set->provider_count; i++)
        if (provider_is_brokered(set, &set->providers[i], settings))
            return true;
    return false;
}

bool provider_keeps(const struct provider_set *set, const struct settings *settings,
                    const char *variable)
{
    for (size_t i = 0; i < set->provider_count; i++) {
        const struct provider *p = &set->providers[i];
        bool is_about_it = p->variable && str_eq(variable, p->variable);

        for (size_t k = 0; k < ARRAY_SIZE(p->keys) && p->keys[k].variable; k++)
            is_about_it |= str_eq(variable, p->keys[k].variable);
        if (is_about_it && provider_is_brokered(set, p, settings))
            return true;
    }
    return false;
}

/* ---- what is told ---- */

bool provider_has_any(const struct provider_set *set, const struct settings *settings)
{
    for (size_t i = 0; i < set->login_count; i++)
        if (provider_is_set(settings, set->logins[i].variable))
            return true;
    return has_any_key(set, settings);
}

const char *provider_exposed(const struct provider_set *set, const struct settings *settings)
{
    for (size_t i = 0; i < set->login_count; i++)
        if (counts(set, &set->logins[i], settings))
            return set->logins[i].warning;
    for (size_t i = 0; i < set->provider_count; i++) {
        const struct provider *p = &set->providers[i];

        if (find_key(p, settings) && !provider_is_brokered(set, p, settings))
            return "runner.broker is off: every task can read the model's key; set it to on";
    }
    return NULL;
}

void provider_add_hosts(const struct provider_set *set, const struct settings *settings,
                        struct strv *hosts)
{
    const struct provider *meant = set->meant ? set->meant(settings) : &set->providers[0];
    bool has_any = has_any_key(set, settings);

    for (size_t i = 0; i < set->login_count; i++) {
        const struct provider_login *login = &set->logins[i];

        for (size_t k = 0; k < ARRAY_SIZE(login->hosts); k++) {
            if (!login->hosts[k] || !counts(set, login, settings))
                continue;
            strv_add(hosts, login->hosts[k]);
            has_any = true;
        }
    }
    for (size_t i = 0; i < set->provider_count; i++) {
        const struct provider *p = &set->providers[i];
        const char *url = provider_variable(settings, p->variable);
        CLEANUP(buf_done) struct buf b = { 0 };

        if (has_any ? !find_key(p, settings) || provider_is_brokered(set, p, settings) : p != meant)
            continue;
        if (!url || allow_print_url(url, &b) < 0) {
            const char *host = strstr(p->url, "//") + 2; /* it has them, and no port */

            buf_clear(&b);
            buf_printf(&b, "%.*s:443", (int)strcspn(host, "/"), host);
        }
        strv_add(hosts, buf_str(&b));
    }
}

static int check_address(const struct provider_set *set, const struct provider *p,
                         const struct settings *settings, struct err *err)
{
    CLEANUP(broker_done) struct broker own = { 0 };
    CLEANUP(buf_done) struct buf b = { 0 };
    const char *url = provider_variable(settings, p->variable);
    bool is_ours = broker_for(set, p, settings, &own);
    char place[SETTINGS_PLACE_MAX];
    struct err why;

    /* nor could tasks be let through to it, and some programs are told it in their arguments */
    if (!is_ours && url && !broker_find(&settings->broker, p->broker) &&
        allow_print_url(url, &b) < 0)
        return err_set(err, -EINVAL,
                       "%srunner.env: %s is no address of an API: want https://HOST[:PORT][/PATH], "
                       "and no user or password in it",
                       settings_place(settings, "runner.env", place), p->variable);
    if (!is_ours)
        return 0;
    if (p->variable && find_pair(&settings->runner_secrets, p->variable))
        return err_set(err, -EINVAL,
                       "%srunner.secrets: %s belongs in runner.env: the broker has to know it",
                       settings_place(settings, "runner.secrets", place), p->variable);
    if (broker_check(&own, &why) < 0)
        return err_set(err, -EINVAL,
                       "%srunner.env: %s can't be brokered: %s; runner.broker: off hands the key "
                       "to every task instead",
                       settings_place(settings, "runner.env", place), p->variable, why.text);
    return 0;
}

int provider_check(const struct provider_set *set, const struct settings *settings, struct err *err)
{
    char place[SETTINGS_PLACE_MAX];
    int r = 0;

    if (str_eq(settings->sandbox_network_mode, "none") && !provider_any_brokered(set, settings))
        return err_set(err, -EINVAL,
                       "%ssandbox.network.mode none leaves %s no way to its model unless its key "
                       "is brokered (an API key in runner.secrets, and runner.broker on); set it "
                       "to allowlist (its model's host and what sandbox.network.allow names)",
                       settings_place(settings, "sandbox.network.mode", place), set->product);
    for (size_t i = 0; i < set->provider_count && r == 0; i++)
        r = check_address(set, &set->providers[i], settings, err);
    return r;
}
