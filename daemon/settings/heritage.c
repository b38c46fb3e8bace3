#include "settings/heritage.h"

#include <stdbool.h>
#include <string.h>

#include "settings/settings.h"
#include "settings/variables.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

/* name: the newer of two wins over its older. */
static const struct variable {
    const char *name, *older;
    bool idle;
    const char *text;
} variables[] = {
    { "NAIRI_API_KEY", "EKSEC_API_KEY", false,
      "the agent key, where neither the systemd credential agent-key nor api_key_file gives one" },
    { "NAIRI_WS_API_URL", "EKSEC_WS_API_URL", false, "server.url" },
    { "NAIRI_AGENT_ID", "EKSEC_AGENT_ID", false, "agent.id" },
    { "NAIRI_CONFIG_DIR", "EKSEC_CONFIG_DIR", false,
      "where .env is read, and what waited is taken over from at the first start; what is kept "
      "here "
      "is in the state directory (--state), and logs go to standard error" },
    { "MAX_CONCURRENCY", NULL, false, "max_concurrency" },
    { "AGENT_HTTP_PROXY", NULL, false,
      "sandbox.network.proxy, for tasks alone; server.proxy is that of the daemon itself" },
    { "AGENT_MCP_PROXY", NULL, false,
      "runner.mcp_gateway: tasks use its MCP servers and none of the control plane's, and may "
      "reach its host" },
    { "WORKTREE_POOL_SIZE", NULL, true,
      "no effect: there are no work trees to be made in advance; sandbox.warm keeps sandboxes "
      "ready; remove it" },
    { "AGENT_EXEC_USER", NULL, true,
      "no effect: each task is in a sandbox, as a user of its own where nairid runs as root; "
      "remove "
      "it" },
    { "CCAGENT_API_KEY", NULL, true, "no effect, as before; tasks don't get it; remove it" },
    { "CCAGENT_WS_API_URL", NULL, true, "no effect, as before; tasks don't get it; remove it" },
};

static const struct flag {
    const char *name, *text;
} flags[] = {
    { "--agent", "runner.name" },
    { "--model", "runner.model" },
    { "--repo", "workspace.repo" },
    { "--claude-bypass-permissions", "runner.permissions: bypass; the sandbox holds all the same" },
};

static void add(struct strv *list, const char *name, const char *text)
{
    AUTO_FREE char *sentence = mem_printf("%s: %s", name, text);

    strv_add(list, sentence);
}

static void find_variable(const char *const *env, const struct variable *v, struct heritage *h)
{
    bool newer = variables_get(env, v->name) != NULL;
    AUTO_FREE char *beaten = mem_printf("no effect: %s is set, too; remove it", v->name);

    if (newer)
        add(v->idle ? &h->idle : &h->meant, v->name, v->text);
    if (v->older && variables_get(env, v->older))
        add(newer ? &h->idle : &h->meant, v->older, newer ? beaten : v->text);
}

static void find_repository(const struct settings *s, struct heritage *h)
{
    AUTO_FREE char *sentence = NULL;

    if (!s->agent_repo)
        return;
    sentence =
        mem_printf("the repository in the working directory: it %s %s to the server, but "
                   "jobs don't work in it, and nothing is committed or pushed: git isn't in "
                   "this version",
                   s->agent_from_repo ? "says agent.id, and is named" : "is named", s->agent_repo);
    strv_add(&h->idle, sentence);
}

void heritage_find(const struct settings_input *in, const char *const *env,
                   const struct settings *s, struct heritage *ret_heritage)
{
    *ret_heritage = (struct heritage){ 0 };
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
        find_variable(env, &variables[i], ret_heritage);
    for (size_t i = 0; i < in->flag_count; i++)
        for (size_t k = 0; k < ARRAY_SIZE(flags); k++)
            if (str_eq(in->flags[i].flag, flags[k].name))
                add(&ret_heritage->meant, flags[k].name, flags[k].text);
    for (size_t i = 0; i < s->env_inherited.len; i++)
        add(&ret_heritage->meant, s->env_inherited.items[i],
            "tasks get it, or their broker has it for them; it is masked in replies and logs");
    for (size_t i = 0; i < s->env_names.len; i++) {
        AUTO_FREE char *name = mem_printf("%s in %s", s->env_names.items[i], s->env_file);

        add(&ret_heritage->meant, name, "runner.env, masked in replies and logs");
    }
    find_repository(s, ret_heritage);
}

void heritage_done(struct heritage *h)
{
    strv_done(&h->meant);
    strv_done(&h->idle);
}
