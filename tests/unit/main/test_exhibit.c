/* Which artifacts an attempt of which runner is shown, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "main/exhibit.h"
#include "main/manifest.h"
#include "runner/runner.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/strv.h"
#include "workspace/shelf.h"

struct world {
    char *dir;
    struct shelf *shelf;
    struct shelf_set *set; /* with all parts */
    struct settings settings;
};

static int set_up(void **state)
{
    static struct world world;
    static char strict[] = "strict";
    static const bool all[SHELF_PART_COUNT] = { true, true, true, true, true };
    struct err err = { 0 };

    world = (struct world){ .dir = tempdir_new(), .settings = { .sandbox_profile = strict } };
    world.shelf = shelf_new(world.dir, &err);
    shelf_switch(world.shelf, SHELF_PREFIX "1", all);
    world.set = shelf_hold(world.shelf);
    *state = &world;
    return err.code;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    shelf_release(w->shelf, w->set);
    shelf_free(w->shelf);
    tempdir_free(w->dir);
    return 0;
}

/* "INSIDE<PART " for each, PART without its directories, "-" where the place is empty. */
static void print(const struct exhibit *e, struct buf *b)
{
    for (size_t i = 0; i < e->count; i++) {
        const char *outside = e->shown[i].outside, *slash = outside ? strrchr(outside, '/') : NULL;

        buf_printf(b, "%s<%s ", e->shown[i].inside, slash ? slash + 1 : "-");
    }
    buf_append_str(b, e->has_mcp ? "mcp" : "");
}

static void assert_shown(const struct world *w, const char *runner, const struct manifest *m,
                         struct shelf_set *set, enum plan_rung rung, const char *want)
{
    CLEANUP(exhibit_done) struct exhibit e = { 0 };
    CLEANUP(buf_done) struct buf b = { 0 };
    const struct exhibit_stock stock = {
        .settings = &w->settings, .rung = rung, .set = set, .manifest = m
    };

    exhibit_make(&stock, runner_find(runner), &e);
    print(&e, &b);
    assert_string_equal(buf_str(&b), want);
    assert_ptr_equal(e.set, set);
}

static void each_runner_has_them_where_it_looks(void **state)
{
    const struct manifest m = { .rules = 1, .skills = 1, .mcp_servers = 1 };
    const struct world *w = *state;

    assert_shown(w, "claude", &m, w->set, PLAN_RUNG_TOP,
                 "/home/agent/.claude/rules<rules /home/agent/.claude/skills<skills "
                 "/nairid/mcp.json<mcp.json mcp");
    assert_shown(
        w, "opencode", &m, w->set, PLAN_RUNG_TOP,
        "/home/agent/.config/opencode/rules<rules /home/agent/.config/opencode/skill<skills "
        "/nairid/mcp.json<opencode.json mcp");
    assert_shown(w, "codex", &m, w->set, PLAN_RUNG_TOP,
                 "/home/agent/.agents/skills<skills /etc/codex/config.toml<codex.toml mcp");
    assert_shown(w, "command", &m, w->set, PLAN_RUNG_TOP, "");
}

static void without_a_set_the_places_are_empty(void **state)
{
    const struct manifest none = { 0 };
    const struct world *w = *state;

    assert_shown(w, "claude", &none, NULL, PLAN_RUNG_TOP,
                 "/home/agent/.claude/rules<- /home/agent/.claude/skills<- ");
    assert_shown(w, "codex", &none, NULL, PLAN_RUNG_TOP, "/home/agent/.agents/skills<- ");
}

static void a_file_without_servers_is_shown_to_codex_alone_for_its_rules(void **state)
{
    static char gateway[] = "https://elsewhere/";
    const struct manifest rules = { .rules = 1 }, other = { .rules = 1, .gateway = gateway };
    const struct world *w = *state;

    assert_shown(w, "claude", &rules, w->set, PLAN_RUNG_TOP,
                 "/home/agent/.claude/rules<rules /home/agent/.claude/skills<skills ");
    assert_shown(w, "codex", &rules, w->set, PLAN_RUNG_TOP,
                 "/home/agent/.agents/skills<skills /etc/codex/config.toml<codex.toml ");
    assert_shown(w, "codex", &other, w->set, PLAN_RUNG_TOP, /* its servers don't suit */
                 "/home/agent/.agents/skills<skills ");
}

static char *unfit(const struct settings *s, enum plan_rung rung, const struct manifest *m)
{
    CLEANUP_PTR(json_free) struct json *list = json_array();
    const struct exhibit_stock stock = { .settings = s, .rung = rung, .manifest = m };

    exhibit_find_unfit(&stock, list);
    return json_print(list);
}

static void where_codex_has_no_place_for_its_file_that_is_told(void **state)
{
    static char codex[] = "codex", host[] = "host", command[] = "command";
    const struct manifest m = { .rules = 1, .skills = 1, .mcp_servers = 1 };
    struct world w = *(struct world *)*state;
    CLEANUP(strv_done) struct strv etc = { 0 };
    AUTO_FREE char *fits = NULL, *bare = NULL, *shown = NULL, *on_host = NULL, *other = NULL;
#define WHY                                                                                        \
    "its file for them would be /etc/codex/config.toml in the sandbox, for which there is no "     \
    "place with sandbox.profile host, with a sandbox.read or sandbox.write there, or without "     \
    "namespaces"
    static const char want[] =
        "[\"artifacts: the runner codex doesn't get the rules: " WHY "\","
        "\"artifacts: the runner codex doesn't get the MCP servers: " WHY "\"]";
#undef WHY

    w.settings.runner_name = codex;
    fits = unfit(&w.settings, PLAN_RUNG_TOP, &m);
    assert_string_equal(fits, "[]");
    bare = unfit(&w.settings, PLAN_RUNG_BARE, &m);
    assert_string_equal(bare, want);
    assert_shown(&w, "codex", &m, w.set, PLAN_RUNG_BARE, "/home/agent/.agents/skills<skills ");
    strv_add(&etc, "/etc/codex/own");
    w.settings.sandbox_read = etc;
    shown = unfit(&w.settings, PLAN_RUNG_TOP, &m);
    assert_string_equal(shown, want);
    w.settings.sandbox_read = (struct strv){ 0 };
    w.settings.sandbox_profile = host;
    on_host = unfit(&w.settings, PLAN_RUNG_TOP, &m);
    assert_string_equal(on_host, want);
    w.settings.runner_name = command; /* gets variables only: no surprise */
    other = unfit(&w.settings, PLAN_RUNG_TOP, &m);
    assert_string_equal(other, "[]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_runner_has_them_where_it_looks),
        cmocka_unit_test(without_a_set_the_places_are_empty),
        cmocka_unit_test(a_file_without_servers_is_shown_to_codex_alone_for_its_rules),
        cmocka_unit_test(where_codex_has_no_place_for_its_file_that_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
