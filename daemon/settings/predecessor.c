#include "settings/predecessor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings/allow.h"
#include "settings/checkout.h"
#include "settings/namespace.h"
#include "settings/pairs.h"
#include "settings/settings.h"
#include "settings/table.h"
#include "settings/variables.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

/* The daemon that we replace hands its whole environment to its programs; of that, what they log
 * in with. */
static void inherit(const struct settings_input *in, struct settings *s)
{
    static const char *const names[] = { "ANTHROPIC_API_KEY",       "ANTHROPIC_AUTH_TOKEN",
                                         "ANTHROPIC_BASE_URL",      "ANTHROPIC_MODEL",
                                         "CLAUDE_CODE_OAUTH_TOKEN", "GH_TOKEN" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = variables_get(in->environ, names[i]);

        if (value && !pairs_find(&s->runner_env, names[i]) &&
            !pairs_find(&s->runner_secrets, names[i])) {
            pairs_add(&s->runner_env, names[i], value);
            strv_add(&s->env_inherited, names[i]);
        }
    }
}

/* What can't be named is no repository to us: agent.id can be said otherwise. */
static int find_repository(const struct settings_input *in, struct settings *s, struct err *ret_err)
{
    size_t index = 0;
    struct err err = { 0 };
    int r = 0;

    s->agent_repo = mem_strdup(in->repo);
    if (!s->agent_repo)
        r = checkout_identify(".", &s->agent_repo, &err);

    if (r < 0 && err_set_machine(ret_err, r, "look at the repository", ".") < 0)
        return r;
    if (r < 0)
        strv_add(&s->warnings, err.text);
    if (s->agent_id || !s->agent_repo)
        return 0;
    (void)table_find("agent.id", &index); /* a row of ours: always there */
    s->agent_id = mem_strdup(s->agent_repo);
    s->agent_from_repo = true;
    free(s->origin[index]);
    s->origin[index] = mem_strdup("the repository in the working directory");
    return 0;
}

/* Each agent has its own below the usual place, unless that is in use as it is. */
static void divide_state(struct settings *s)
{
    AUTO_FREE char *journal = mem_printf("%s/journal.db", s->state_dir);
    AUTO_FREE char *shared = NULL;
    AUTO_FREE char *namespace = NULL;

    if (!s->agent_id || access(journal, F_OK) == 0)
        return;
    namespace = namespace_make(s->agent_id);
    shared = s->state_dir;
    s->state_dir = mem_printf("%s/" SETTINGS_INSTANCES "/%s", shared, namespace);
}

int predecessor_apply(const struct settings_input *in, struct settings *s, struct err *err)
{
    int r = find_repository(in, s, err);

    inherit(in, s);
    if (r == 0 && !in->state_dir && !variables_get(in->environ, "STATE_DIRECTORY"))
        divide_state(s);
    return r;
}

/* The MCP gateway is asked directly, as by that daemon's programs. */
static void spare_gateway(struct settings *s)
{
    static const char *const names[] = { "NO_PROXY", "no_proxy" };
    CLEANUP(buf_done) struct buf place = { 0 };
    struct allow allow;

    if (!s->runner_mcp_gateway || allow_print_url(s->runner_mcp_gateway, &place) < 0 ||
        allow_parse(buf_str(&place), &allow, NULL) < 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!pairs_find(&s->runner_env, names[i]))
            pairs_add(&s->runner_env, names[i], allow.host.text);
}

void predecessor_pass_proxy(struct settings *s)
{
    static const char *const names[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy" };

    if (!s->sandbox_network_proxy || !str_eq(s->sandbox_network_mode, "host"))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!pairs_find(&s->runner_env, names[i]))
            pairs_add(&s->runner_env, names[i], s->sandbox_network_proxy);
    spare_gateway(s);
}
