#include "sandbox/plan_network.h"

#include <errno.h>
#include <string.h>

#include "sandbox/gateway.h"
#include "sandbox/plan_origin.h"
#include "settings/allow.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

static bool has_host(const struct plan *p, const char *text)
{
    for (size_t i = 0; i < p->host_count; i++)
        if (str_eq(p->hosts[i].text, text))
            return true;
    return false;
}

static int add_hosts(struct plan *p, const struct strv *hosts, uint32_t origin, struct err *err)
{
    for (size_t i = 0; hosts && i < hosts->len; i++) {
        CLEANUP(buf_done) struct buf text = { 0 };
        struct allow allow;
        int r = allow_parse(hosts->items[i], &allow, err);

        if (r < 0)
            return (void)err_prefix(err, "%s", plan_origin(p, origin)), r;
        allow_print(&allow, &text);
        if (has_host(p, buf_str(&text)))
            continue;
        if (p->host_count == PLAN_HOSTS_MAX)
            return err_set(err, -EINVAL,
                           "sandbox.network.allow: at most %d hosts are possible; use *. for many "
                           "below one name",
                           PLAN_HOSTS_MAX);
        p->hosts = mem_realloc(p->hosts, (p->host_count + 1) * sizeof p->hosts[0]);
        p->hosts[p->host_count++] =
            (struct plan_host){ .text = buf_steal(&text), .origin = origin };
    }
    return 0;
}

static int add_brokers(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    if (!policy->brokers || policy->brokers->len == 0)
        return 0;
    if (p->network == PLAN_NETWORK_HOST)
        return err_set(err, -EINVAL,
                       "the key of the broker %s can't be kept out of tasks in "
                       "sandbox.network.mode host, where everybody on this machine could use the "
                       "broker: set the mode to allowlist or none, or remove the broker "
                       "(runner.broker: off hands the runner's own keys to every task)",
                       policy->brokers->items[0].name);
    broker_copy_all(&p->brokers, policy->brokers);
    free(p->ca_file);
    p->ca_file = mem_strdup(policy->ca_file ? policy->ca_file : "");
    return 0;
}

bool plan_is_ours(const struct plan *p)
{
    return p->survey || p->unpack;
}

bool plan_has_egress(const struct plan *p)
{
    return p->network == PLAN_NETWORK_ALLOWLIST || p->brokers.len > 0;
}

/* Named by the operator, so it may be anywhere. */
static int add_gateway(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    CLEANUP(strv_done) struct strv hosts = { 0 };
    CLEANUP(buf_done) struct buf host = { 0 };

    if (!policy->gateway)
        return 0;
    if (allow_print_url(policy->gateway, &host) < 0)
        return err_set(err, -EINVAL, "runner.mcp_gateway is no URL of a gateway");
    strv_add(&hosts, buf_str(&host));
    return add_hosts(p, &hosts,
                     plan_origin_add(p, "runner.mcp_gateway, %s",
                                     policy->gateway_origin ? policy->gateway_origin : "default"),
                     err);
}

int plan_network_add(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    uint32_t runner;
    int r;

    p->network = policy->network;
    p->proxy = mem_strdup("");
    p->ca_file = mem_strdup("");
    r = add_brokers(p, policy, err);
    if (r < 0 || !plan_has_egress(p))
        return r;
    if (p->as_root && (policy->egress_uid == 0 || policy->egress_uid == (uid_t)-1 ||
                       policy->egress_uid == policy->task_uid))
        return err_set(err, -EINVAL, "as root a task's proxy needs a user id of its own");
    p->egress_uid = p->as_root ? policy->egress_uid : 0;
    if (policy->proxy) {
        free(p->proxy);
        p->proxy = mem_strdup(policy->proxy);
    }
    if (p->network != PLAN_NETWORK_ALLOWLIST)
        return 0;
    runner = plan_origin_add(p, "the runner %s", policy->runner ? policy->runner : "");
    r = add_hosts(p, policy->allow, p->word_origins[PLAN_WORD_ALLOW], err);
    if (r == 0)
        r = add_gateway(p, policy, err);
    return r < 0 ? r : add_hosts(p, policy->needs, runner, err);
}

/* The ways in which programs are told of a proxy: curl, git, wget, Python, Go and Rust look at the
 * first ones, in capitals or not; npm at its own; node from version 24 on at them if the switch is
 * there, and many of its programs at global-agent's; Java at properties only. */
static const char *const proxy_env[] = {
    ("HTTP_PROXY=" GATEWAY_URL),
    ("http_proxy=" GATEWAY_URL),
    ("HTTPS_PROXY=" GATEWAY_URL),
    ("https_proxy=" GATEWAY_URL),
    ("ALL_PROXY=" GATEWAY_URL),
    ("all_proxy=" GATEWAY_URL),
    ("npm_config_proxy=" GATEWAY_URL),
    ("npm_config_https_proxy=" GATEWAY_URL),
    ("YARN_HTTP_PROXY=" GATEWAY_URL),
    ("YARN_HTTPS_PROXY=" GATEWAY_URL),
    ("GLOBAL_AGENT_HTTP_PROXY=" GATEWAY_URL),
    ("GLOBAL_AGENT_HTTPS_PROXY=" GATEWAY_URL),
    "NODE_USE_ENV_PROXY=1",
};

static const char *const no_proxy_names[] = { "NO_PROXY", "no_proxy", "npm_config_noproxy",
                                              "GLOBAL_AGENT_NO_PROXY" };

/* The task's own loopback, unless an entry names the host's by that name. */
static void add_no_proxy(const struct plan *p, struct strv *env)
{
    static const char *const own[] = { "localhost", "127.0.0.1", "[::1]" };
    CLEANUP(buf_done) struct buf list = { 0 }, java = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        size_t len = strlen(own[i]);
        bool is_named = false;

        for (size_t k = 0; k < p->host_count; k++)
            is_named |= strncmp(p->hosts[k].text, own[i], len) == 0 && p->hosts[k].text[len] == ':';
        if (is_named)
            continue;
        buf_printf(&list, "%s%s", list.len > 0 ? "," : "", own[i][0] == '[' ? "::1" : own[i]);
        buf_printf(&java, "%s%s", java.len > 0 ? "|" : "", own[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(no_proxy_names); i++) {
        AUTO_FREE char *pair = mem_printf("%s=%s", no_proxy_names[i], buf_str(&list));

        strv_add(env, pair);
    }
    {
        AUTO_FREE char *pair = mem_printf(
            "JAVA_TOOL_OPTIONS=-Dhttp.proxyHost=" GATEWAY_ADDRESS " -Dhttp.proxyPort=%d "
            "-Dhttps.proxyHost=" GATEWAY_ADDRESS " -Dhttps.proxyPort=%d -Dhttp.nonProxyHosts=%s",
            GATEWAY_PORT, GATEWAY_PORT, buf_str(&java));

        strv_add(env, pair);
    }
}

void plan_network_env(const struct plan *p, struct strv *env)
{
    if (p->network != PLAN_NETWORK_ALLOWLIST)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(proxy_env); i++)
        strv_add(env, proxy_env[i]);
    add_no_proxy(p, env);
}
