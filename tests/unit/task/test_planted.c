#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <cmocka.h>

#include "task/planted.h"
#include "util/cleanup.h"
#include "util/str.h"

static int kind_at(const char *path, size_t top, size_t git, bool package)
{
    const struct planted_place place = { .path = path, .top = top, .git = git, .package = package };
    const struct planted_row *row = planted_find(&place);

    return row ? (int)row->kind : -1;
}

static int kind_of(const char *path)
{
    return kind_at(path, 0, PLANTED_NOWHERE, false);
}

static void what_programs_obey_in_any_directory_is_known(void **state)
{
    static const struct {
        const char *path;
        int kind;
    } cases[] = {
        { ".git", PLANTED_GIT_LINK },
        { "a/b/.git", PLANTED_GIT_LINK },
        { ".gitmodules", PLANTED_GIT_MODULES },
        { ".claude/settings.json", PLANTED_AGENT },
        { "a/.claude/settings.local.json", PLANTED_AGENT },
        { ".claude/hooks/a/b.sh", PLANTED_AGENT },
        { ".claude/settings.json/x", -1 },
        { ".claude/todo.md", -1 },
        { "claude/settings.json", -1 },
        { ".MCP.json", PLANTED_MCP },
        { ".cursor/mcp.json", PLANTED_MCP },
        { ".vscode/tasks.json", PLANTED_EDITOR },
        { "x.y/.vscode/settings.json", PLANTED_EDITOR },
        { ".vscode/a/settings.json", -1 },
        { "all.code-workspace", PLANTED_EDITOR },
        { ".code-workspace", PLANTED_EDITOR },
        { ".envrc", PLANTED_SHELL },
        { "a/.bashrc", PLANTED_SHELL },
        { "a/.bashrc.d", -1 },
        { ".devcontainer/a/Dockerfile", PLANTED_CONTAINER },
        { ".devcontainer", -1 },
        { ".cargo/config.toml", PLANTED_PACKAGES },
        { "CLAUDE.md", -1 },
        { "Makefile", -1 },
        { "", -1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (kind_of(cases[i].path) != cases[i].kind)
            fail_msg("'%s' is %d", cases[i].path, kind_of(cases[i].path));
}

static void what_is_obeyed_at_a_top_only_counts_there(void **state)
{
    (void)state;
    assert_int_equal(kind_of(".github/workflows/ci.yml"), PLANTED_CI);
    assert_int_equal(kind_of("sub/.github/workflows/ci.yml"), -1);
    assert_int_equal(
        kind_at("sub/.github/workflows/ci.yml", strlen("sub/"), PLANTED_NOWHERE, false),
        PLANTED_CI);
    assert_int_equal(kind_of(".github/workflows/old/ci.yml"), -1);
    assert_int_equal(kind_of(".husky/_/pre-commit"), PLANTED_HOOK_MANAGER);
    assert_int_equal(kind_of("Jenkinsfile"), PLANTED_CI);
    assert_int_equal(kind_of("a/Jenkinsfile"), -1);
}

static void a_git_directory_has_names_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(kind_at(".git/hooks/pre-commit", 0, 5, false), PLANTED_GIT_HOOK);
    assert_int_equal(kind_at(".git/hooks/pre-commit.sample", 0, 5, false), -1);
    assert_int_equal(kind_at(".git/config", 0, 5, false), PLANTED_GIT_CONFIG);
    assert_int_equal(kind_at("bare/config", 0, 5, false), PLANTED_GIT_CONFIG);
    assert_int_equal(kind_at("config", 0, 0, false), PLANTED_GIT_CONFIG);
    assert_int_equal(kind_at(".git/worktrees/a/config.worktree", 0, 5, false), PLANTED_GIT_CONFIG);
    assert_int_equal(kind_at(".git/info/attributes", 0, 5, false), PLANTED_GIT_ATTRIBUTES);
    assert_int_equal(kind_at(".git/.envrc", 0, 5, false), -1);
    assert_int_equal(kind_at(".git/modules/a/.envrc", 0, strlen(".git/modules/a/"), false), -1);
    assert_int_equal(kind_of("hooks/pre-commit"), -1);
}

static void in_packages_of_others_only_repositories_count(void **state)
{
    (void)state;
    assert_int_equal(kind_at("node_modules/a/.npmrc", 0, PLANTED_NOWHERE, true), -1);
    assert_int_equal(kind_at("node_modules/a/.git", 0, PLANTED_NOWHERE, true), PLANTED_GIT_LINK);
}

static void each_fixed_name_is_found_by_itself(void **state)
{
    const struct planted_row *row;
    size_t count = 0;

    (void)state;
    for (; (row = planted_fixed(count)) != NULL; count++) {
        assert_null(strchr(row->pattern, '*'));
        assert_int_equal(kind_of(row->pattern), row->kind);
    }
    assert_in_range(count, 50, 200);
}

static bool is_live_config(const char *text)
{
    return planted_is_live(PLANTED_BY_CONFIG, ".git/config", text, strlen(text));
}

static void settings_that_run_programs_are_seen(void **state)
{
    static const char *const live[] = {
        "[core]\n\thooksPath = x\n",
        "[CORE]\nHOOKSPATH=x",
        "[core] hooksPath = x",
        "[user] name = a\n[core]fsmonitor\n",
        "[core]\n\teditor = x \\\n[user]\n",
        "[core]\n a = x \\\n[user]\n hookspath = evil\n",
        "[include]\n\tpath = ../evil\n",
        "[includeIf \"gitdir:/\"] path = a",
        "[alias]\n\tst = !evil\n",
        "[filter \"a]b\"]\n\tsmudge = evil\n",
        "[filter.a]\n\tclean = evil\n",
        "[url \"https://evil/\"]\n\tinsteadOf = https://good/\n",
        "[credential]\n\thelper = evil\n",
        "\xef\xbb\xbf[core]\r\n\tsshCommand = evil\r\n",
        "[submodule \"a\"]\n\tupdate = !evil\n",
        "[core]\npager = x",
        "[remote \"o\"]\n\tuploadpack = evil\n",
    };
    static const char *const tame[] = {
        "",
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n",
        "[remote \"origin\"]\n\turl = https://a/b.git\n\tfetch = +refs/*:refs/*\n",
        "[submodule \"a\"]\n\turl = https://a/b.git\n\tactive = true\n",
        "[alias]\n\tst = status\n",
        "# [core]\n#\thooksPath = x\n",
        "[user]\n\teditor = me\n",
        "[",
        "hooksPath = x\n",
        "[core",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(live); i++)
        if (!is_live_config(live[i]))
            fail_msg("missed: %s", live[i]);
    for (size_t i = 0; i < ARRAY_SIZE(tame); i++)
        if (is_live_config(tame[i]))
            fail_msg("not so: %s", tame[i]);
}

static bool is_live(enum planted_look look, const char *path, const char *text)
{
    return planted_is_live(look, path, text, strlen(text));
}

static void attributes_count_where_they_name_a_driver(void **state)
{
    (void)state;
    assert_true(is_live(PLANTED_BY_ATTRIBUTES, "", "* filter=evil"));
    assert_true(is_live(PLANTED_BY_ATTRIBUTES, "", "*.c text\n*.d\tmerge=evil\n"));
    assert_false(is_live(PLANTED_BY_ATTRIBUTES, "", "*.c diff=cpp text=auto eol=lf\n"));
    assert_false(is_live(PLANTED_BY_ATTRIBUTES, "", "*.bin filter=lfs diff=lfs merge=lfs -text\n"));
    assert_false(is_live(PLANTED_BY_ATTRIBUTES, "", "filter= -filter !diff"));
}

static void a_file_that_stands_for_a_git_directory_counts_where_it_leads_out(void **state)
{
    (void)state;
    assert_false(is_live(PLANTED_BY_TARGET, "a/b/.git", "gitdir: ../../.git/modules/b\n"));
    assert_true(is_live(PLANTED_BY_TARGET, "a/b/.git", "gitdir: ../../../x\n"));
    assert_true(is_live(PLANTED_BY_TARGET, "a/.git", "gitdir: /home/x/.git\r\n"));
    assert_false(is_live(PLANTED_BY_TARGET, ".git/worktrees/a/commondir", "../..\n"));
    assert_false(is_live(PLANTED_BY_TARGET, "a/.git", ""));
    assert_true(planted_is_live(PLANTED_BY_TARGET, "a/.git", "gitdir: a\0b", 11));
}

static void links_that_may_lead_out_are_told_from_those_that_stay(void **state)
{
    static const struct {
        const char *path, *target;
        bool out;
    } cases[] = {
        { "a", "b", false },
        { "a", "./b/c", false },
        { "a", "..", true },
        { "a", "../x", true },
        { "a/b", "../x", false },
        { "a/b", "../../x", true },
        { "a/b", ".././/../x", true },
        { "a/b/c", "../../x", false },
        { "a", "d/../x", true }, /* d may be a link itself */
        { "a/b/c", "../d/../x", true },
        { "a", "/etc/passwd", true },
        { "a", "/usr/bin/python3", false },
        { "a", "/usr/../etc/passwd", true },
        { "a", "/usr", true },
        { "a", "/workspace/b", true },
        { "a", "/dev/null", false },
        { "a", "/dev/sda", true },
        { "a", "", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (planted_leads_out(cases[i].path, cases[i].target) != cases[i].out)
            fail_msg("%s -> %s", cases[i].path, cases[i].target);
}

static void odd_names_are_seen(void **state)
{
    static const char *const odd[] = { "a\nb",
                                       "\x1b[31m",
                                       "\x7f",
                                       "a\xc2\x85",
                                       "a\xe2\x80\xae"
                                       "c",
                                       "a\xe2\x81\xa6"
                                       "c",
                                       "\r" };
    static const char *const fine[] = {
        "a b", "caf\xc3\xa9", "\xe2\x82\xac", "-rf", "a\xe2", "..."
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
        assert_true(planted_is_odd_name(odd[i]));
    for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
        assert_false(planted_is_odd_name(fine[i]));
}

static void each_kind_has_words(void **state)
{
    (void)state;
    for (int kind = 0; kind < PLANTED_KIND_COUNT; kind++)
        assert_false(str_is_empty(planted_words((enum planted_kind)kind)));
}

static void what_only_looks_like_a_git_directory_hides_nothing(void **state)
{
    (void)state;
    assert_int_equal(kind_at("hooks/pre-commit", 0, 0, false), PLANTED_GIT_HOOK);
    assert_int_equal(kind_at(".envrc", 0, 0, false), PLANTED_SHELL);
    assert_int_equal(kind_at("a/.mcp.json", 0, 0, false), PLANTED_MCP);
    assert_int_equal(kind_at(".github/workflows/ci.yml", 0, 0, false), PLANTED_CI);
    assert_true(planted_is_in_git(".git/objects"));
    assert_true(planted_is_in_git("a/.GIT/modules/b/objects"));
    assert_false(planted_is_in_git("objects"));
    assert_false(planted_is_in_git("a.git/objects"));
    assert_false(planted_is_in_git("a/.git"));
}

static void a_directory_that_counts_at_a_top_is_no_top(void **state)
{
    (void)state;
    assert_true(planted_is_of_top(".github"));
    assert_true(planted_is_of_top(".GitHub/workflows"));
    assert_false(planted_is_of_top(""));
    assert_false(planted_is_of_top(".git"));
    assert_false(planted_is_of_top("sub/.github"));
    assert_false(planted_is_of_top("Jenkinsfile"));
    assert_false(planted_is_of_top(".worktrees/a"));
}

static int link_kind(const char *path, size_t git, bool package)
{
    const struct planted_place place = { .path = path, .git = git, .package = package };
    const struct planted_row *row = planted_find_link(&place);

    return row ? (int)row->kind : -1;
}

static void a_link_may_stand_for_a_directory_that_is_obeyed(void **state)
{
    (void)state;
    assert_int_equal(link_kind(".claude", PLANTED_NOWHERE, false), PLANTED_AGENT);
    assert_int_equal(link_kind("a/.Claude/hooks", PLANTED_NOWHERE, false), PLANTED_AGENT);
    assert_int_equal(link_kind(".envrc", PLANTED_NOWHERE, false), PLANTED_SHELL);
    assert_int_equal(link_kind(".github", PLANTED_NOWHERE, false), PLANTED_CI);
    assert_int_equal(link_kind("a/.github", PLANTED_NOWHERE, false), -1);
    assert_int_equal(link_kind(".git/info", 5, false), PLANTED_GIT_ATTRIBUTES);
    assert_int_equal(link_kind(".git/.claude", 5, false), -1);
    assert_int_equal(link_kind(".claude", 0, false), PLANTED_AGENT);
    assert_int_equal(link_kind("node_modules/.claude", PLANTED_NOWHERE, true), -1);
    assert_int_equal(link_kind("claude", PLANTED_NOWHERE, false), -1);
    assert_int_equal(link_kind(".", PLANTED_NOWHERE, false), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_programs_obey_in_any_directory_is_known),
        cmocka_unit_test(what_is_obeyed_at_a_top_only_counts_there),
        cmocka_unit_test(a_git_directory_has_names_of_its_own),
        cmocka_unit_test(what_only_looks_like_a_git_directory_hides_nothing),
        cmocka_unit_test(a_directory_that_counts_at_a_top_is_no_top),
        cmocka_unit_test(a_link_may_stand_for_a_directory_that_is_obeyed),
        cmocka_unit_test(in_packages_of_others_only_repositories_count),
        cmocka_unit_test(each_fixed_name_is_found_by_itself),
        cmocka_unit_test(settings_that_run_programs_are_seen),
        cmocka_unit_test(attributes_count_where_they_name_a_driver),
        cmocka_unit_test(a_file_that_stands_for_a_git_directory_counts_where_it_leads_out),
        cmocka_unit_test(links_that_may_lead_out_are_told_from_those_that_stay),
        cmocka_unit_test(odd_names_are_seen),
        cmocka_unit_test(each_kind_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
