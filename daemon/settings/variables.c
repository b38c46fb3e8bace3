#include "settings/variables.h"

#include <string.h>

#include "settings/table.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

static const char own_prefix[] = "NAIRID_";

/* Names that the present daemon reads, the newer first. */
static const struct {
    const char *name, *key;
} legacy[] = {
    { "NAIRI_WS_API_URL", "server.url" },
    { "EKSEC_WS_API_URL", "server.url" },
    { "NAIRI_AGENT_ID", "agent.id" },
    { "EKSEC_AGENT_ID", "agent.id" },
    { "MAX_CONCURRENCY", "max_concurrency" },
    { "AGENT_HTTP_PROXY", "sandbox.network.proxy" },
    { "AGENT_MCP_PROXY", "runner.mcp_gateway" },
};

/* Besides those: keys, and what has another meaning here or none. */
static const char *const others[] = {
    "NAIRI_API_KEY",      "EKSEC_API_KEY",      "NAIRI_CONFIG_DIR", "EKSEC_CONFIG_DIR",
    "CCAGENT_WS_API_URL", "WORKTREE_POOL_SIZE", "AGENT_EXEC_USER",  "CCAGENT_API_KEY",
};

const char *variables_get(const char *const *env, const char *name)
{
    size_t len = strlen(name);

    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return (*env)[len + 1] ? *env + len + 1 : NULL;
    return NULL;
}

const char *variables_for(const char *const *env, const struct table_row *row, char *buffer,
                          const char **ret_name)
{
    const char *value = variables_get(env, table_variable(buffer, row));

    if (value) {
        *ret_name = buffer;
        return value;
    }
    for (size_t i = 0; i < ARRAY_SIZE(legacy); i++)
        if (str_eq(legacy[i].key, row->key) &&
            (value = variables_get(env, legacy[i].name)) != NULL) {
            *ret_name = legacy[i].name;
            return value;
        }
    return NULL;
}

bool variables_are_ours(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(legacy); i++)
        if (str_eq(legacy[i].name, name))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (str_eq(others[i], name))
            return true;
    return str_starts_with(name, own_prefix);
}

static void warn_unless_known(const char *name, struct strv *warnings)
{
    static const char config[] = "NAIRID_CONFIG";
    enum { SIZE = TABLE_KEY_MAX + 8, MORE = 1 };
    size_t count = table_len();
    AUTO_FREE char *buffers = mem_calloc(count, SIZE);
    AUTO_FREE const char **known = mem_calloc(count + MORE, sizeof *known);
    AUTO_FREE char *sentence = NULL;
    const char *near;

    for (size_t i = 0; i < count; i++)
        known[i] = table_variable(buffers + i * SIZE, table_row(i));
    known[count] = config;
    for (size_t i = 0; i < count + MORE; i++)
        if (str_eq(known[i], name))
            return;
    near = str_nearest(name, known, count + MORE);
    sentence =
        near ? mem_printf("environment variable %s has no effect; did you mean %s?", name, near)
             : mem_printf("environment variable %s has no effect", name);
    strv_add(warnings, sentence);
}

void variables_unknown(const char *const *env, struct strv *warnings)
{
    for (; env && *env; env++) {
        size_t len = strcspn(*env, "=");

        if (str_starts_with(*env, own_prefix) && len <= 2 * TABLE_KEY_MAX) {
            AUTO_FREE char *name = mem_strndup(*env, len);

            warn_unless_known(name, warnings);
        }
    }
}
