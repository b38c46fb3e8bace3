#include "main/exhibit.h"

#include <stdlib.h>
#include <string.h>

#include "main/manifest.h"
#include "runner/runner.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "workspace/shelf.h"

#define NO_PLACE                                                                                   \
    "its file for them would be /etc/codex/config.toml in the sandbox, for which there is no "     \
    "place with sandbox.profile host, with a sandbox.read or sandbox.write there, or without "     \
    "namespaces"

static void show(struct exhibit *e, const char *outside, const char *inside)
{
    e->shown[e->count++] = (struct plan_shown){ .outside = outside, .inside = inside };
}

static bool has_within(const struct strv *paths, const char *top)
{
    size_t len = strlen(top);

    for (size_t i = 0; i < paths->len; i++)
        if (str_eq(paths->items[i], "/") || str_eq(paths->items[i], "/etc") ||
            strncmp(paths->items[i], top, len) == 0)
            return true;
    return false;
}

/* Whether there is a place for the file in which its program reads MCP servers. */
static bool takes_file(const struct exhibit_stock *stock, const struct runner *runner)
{
    const struct settings *s = stock->settings;

    if (runner->mcp != RUNNER_MCP_CODEX)
        return runner->mcp != RUNNER_MCP_NONE;
    return stock->rung != PLAN_RUNG_BARE && !str_eq(s->sandbox_profile, "host") &&
           !has_within(&s->sandbox_read, "/etc/codex") &&
           !has_within(&s->sandbox_write, "/etc/codex");
}

/* Whether its file is one with rules, and has no servers in it that don't suit the settings. */
static bool has_rules_alone(const struct exhibit_stock *stock, const struct runner *runner)
{
    return runner->mcp == RUNNER_MCP_CODEX && str_eq(stock->manifest->gateway, stock->gateway);
}

void exhibit_make(const struct exhibit_stock *stock, const struct runner *runner,
                  struct exhibit *ret_exhibit)
{
    const char *const places[EXHIBIT_FOLDERS] = { runner->rules, runner->skills };
    const enum shelf_part parts[EXHIBIT_FOLDERS] = { SHELF_RULES, SHELF_SKILLS };
    static const struct {
        enum shelf_part part;
        const char *inside;
    } forms[] = {
        [RUNNER_MCP_NONE] = { SHELF_MCP, NULL },
        [RUNNER_MCP_COMMON] = { SHELF_MCP, RUNNER_MCP_PATH },
        [RUNNER_MCP_OPENCODE] = { SHELF_MCP_OPENCODE, RUNNER_MCP_PATH },
        [RUNNER_MCP_CODEX] = { SHELF_MCP_CODEX, RUNNER_CODEX_PATH },
    };
    struct exhibit e = { .set = stock->set };
    const char *file = e.set ? shelf_path(e.set, forms[runner->mcp].part) : NULL;
    bool takes = file && takes_file(stock, runner);

    for (size_t i = 0; i < EXHIBIT_FOLDERS; i++) {
        if (!places[i])
            continue;
        e.inside[i] = mem_printf(PLAN_HOME "/%s", places[i]);
        show(&e, e.set ? shelf_path(e.set, parts[i]) : NULL, e.inside[i]);
    }
    e.has_mcp = takes && stock->manifest->mcp_servers > 0;
    if (e.has_mcp || (takes && has_rules_alone(stock, runner)))
        show(&e, file, forms[runner->mcp].inside);
    *ret_exhibit = e;
}

void exhibit_done(struct exhibit *e)
{
    for (size_t i = 0; i < EXHIBIT_FOLDERS; i++)
        free(e->inside[i]);
    *e = (struct exhibit){ 0 };
}

void exhibit_find_unfit(const struct exhibit_stock *stock, struct json *list)
{
    const struct manifest *m = stock->manifest;
    const char *name = stock->settings->runner_name;
    const struct runner *runner = runner_find(name);
    bool takes = runner && takes_file(stock, runner);
    bool has_rules = runner && (runner->rules || (takes && runner->mcp == RUNNER_MCP_CODEX));
    const struct {
        size_t count;
        bool taken;
        const char *what;
    } rows[] = {
        { m->rules, has_rules, "rules" },
        { m->skills, runner && runner->skills, "skills" },
        { m->mcp_servers, takes, "MCP servers" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_FREE char *text =
            mem_printf("artifacts: the runner %s doesn't get the %s: %s", name, rows[i].what,
                       runner && runner->mcp == RUNNER_MCP_CODEX ? NO_PLACE : "it reads none");

        if (runner && runner->providers && rows[i].count > 0 && !rows[i].taken)
            json_push_str(list, text);
    }
}
