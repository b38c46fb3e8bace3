#include "task/planted.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "util/cleanup.h"
#include "util/str.h"

/* clang-format off */
static const char *const words[] = {
    [PLANTED_SET_ID]         = "runs with its owner's rights",
    [PLANTED_DEVICE]         = "a device node",
    [PLANTED_GIT_HOOK]       = "git runs it",
    [PLANTED_GIT_CONFIG]     = "git runs or obeys what it names",
    [PLANTED_GIT_LINK]       = "git takes its settings and hooks from where it leads",
    [PLANTED_AGENT]          = "coding agents obey it",
    [PLANTED_MCP]            = "coding agents start the programs that it names",
    [PLANTED_EDITOR]         = "editors and debuggers obey it",
    [PLANTED_SHELL]          = "shells run it",
    [PLANTED_CONTAINER]      = "editors build and run it",
    [PLANTED_PACKAGES]       = "package managers obey it",
    [PLANTED_HOOK_MANAGER]   = "git hooks are made from it",
    [PLANTED_CI]             = "build servers run it",
    [PLANTED_LINK]           = "a link that leads out of the workspace",
    [PLANTED_GIT_ATTRIBUTES] = "git runs the drivers that it names",
    [PLANTED_GIT_MODULES]    = "git fetches what it names",
    [PLANTED_NAME]           = "a name that isn't what it looks like",
    [PLANTED_PIPE]           = "a pipe: who reads it waits",
    [PLANTED_SOCKET]         = "a socket",
    [PLANTED_LOCKED]         = "can't be looked into",
};
static_assert(ARRAY_SIZE(words) == PLANTED_KIND_COUNT, "words for each kind");

#define ROW(kind_, pattern_) { .pattern = pattern_, .kind = PLANTED_##kind_ }
#define LOOK(kind_, pattern_, look_)                                                               \
    { .pattern = pattern_, .kind = PLANTED_##kind_, .look = PLANTED_BY_##look_ }

/* Within a git directory. */
static const struct planted_row git_rows[] = {
    ROW(GIT_HOOK, "hooks/*"), ROW(GIT_HOOK, "hooks"),
    LOOK(GIT_CONFIG, "config", CONFIG), LOOK(GIT_CONFIG, "config.worktree", CONFIG),
    LOOK(GIT_CONFIG, "worktrees/*/config.worktree", CONFIG),
    LOOK(GIT_ATTRIBUTES, "info/attributes", ATTRIBUTES),
    LOOK(GIT_LINK, "commondir", TARGET),
};

/* In any directory, as any may be the one that somebody opens or enters. */
static const struct planted_row any_rows[] = {
    LOOK(GIT_LINK, ".git", TARGET),
    LOOK(GIT_ATTRIBUTES, ".gitattributes", ATTRIBUTES), ROW(GIT_MODULES, ".gitmodules"),
    /* settings name hooks, which are shell commands; the others are prompts with tools */
    ROW(AGENT, ".claude/settings*.json"), ROW(AGENT, ".claude/hooks/**"),
    ROW(AGENT, ".claude/commands/**"), ROW(AGENT, ".claude/agents/**"),
    ROW(AGENT, ".claude/skills/**"), ROW(AGENT, ".claude/plugins/**"),
    ROW(AGENT, ".claude-plugin/**"), ROW(AGENT, ".codex/config.toml"),
    ROW(AGENT, ".codex/hooks*"), ROW(AGENT, "opencode.json"), ROW(AGENT, "opencode.jsonc"),
    ROW(AGENT, ".opencode/**"), ROW(AGENT, ".gemini/settings.json"),
    ROW(AGENT, ".gemini/extensions/**"), ROW(AGENT, ".cursor/hooks*"), ROW(AGENT, ".kiro/hooks/*"),
    ROW(AGENT, ".amp/settings.json"), ROW(AGENT, ".aider.conf.yml"),
    ROW(MCP, ".mcp.json"), ROW(MCP, ".cursor/mcp.json"),
    ROW(MCP, ".vscode/mcp.json"), ROW(MCP, ".roo/mcp.json"), ROW(MCP, ".kiro/settings/mcp.json"),
    ROW(MCP, ".windsurf/mcp*.json"),
    ROW(EDITOR, ".vscode/tasks.json"), ROW(EDITOR, ".vscode/launch.json"),
    ROW(EDITOR, ".vscode/settings.json"), ROW(EDITOR, ".vscode/extensions.json"),
    ROW(EDITOR, "*.code-workspace"), ROW(EDITOR, ".idea/*"), ROW(EDITOR, ".idea/tools/*"),
    ROW(EDITOR, ".idea/runConfigurations/*"), ROW(EDITOR, ".run/*.run.xml"),
    ROW(EDITOR, ".zed/*.json"), ROW(EDITOR, ".fleet/*.json"), ROW(EDITOR, ".vimrc"),
    ROW(EDITOR, ".exrc"), ROW(EDITOR, ".nvimrc"), ROW(EDITOR, ".nvim.lua"), ROW(EDITOR, ".lvimrc"),
    ROW(EDITOR, ".dir-locals*.el"), ROW(EDITOR, ".gdbinit"), ROW(EDITOR, ".lldbinit"),
    ROW(SHELL, ".envrc"), ROW(SHELL, ".bashrc"), ROW(SHELL, ".bash_profile"),
    ROW(SHELL, ".bash_login"), ROW(SHELL, ".bash_logout"), ROW(SHELL, ".bash_aliases"),
    ROW(SHELL, ".profile"), ROW(SHELL, ".zshrc"), ROW(SHELL, ".zshenv"), ROW(SHELL, ".zprofile"),
    ROW(SHELL, ".zlogin"), ROW(SHELL, ".zlogout"), ROW(SHELL, ".kshrc"), ROW(SHELL, ".cshrc"),
    ROW(SHELL, ".tcshrc"), ROW(SHELL, ".inputrc"), ROW(SHELL, ".config/fish/**"),
    ROW(SHELL, ".tmux.conf"), ROW(SHELL, ".screenrc"), ROW(SHELL, ".mise.toml"),
    ROW(SHELL, "mise.toml"), ROW(SHELL, ".config/mise/**"),
    ROW(CONTAINER, ".devcontainer.json"), ROW(CONTAINER, ".devcontainer/**"),
    ROW(PACKAGES, ".npmrc"), ROW(PACKAGES, ".yarnrc"), ROW(PACKAGES, ".yarnrc.yml"),
    ROW(PACKAGES, ".pnpmfile.cjs"), ROW(PACKAGES, "bunfig.toml"), ROW(PACKAGES, ".pypirc"),
    ROW(PACKAGES, "pip.conf"), ROW(PACKAGES, ".condarc"), ROW(PACKAGES, ".cargo/config"),
    ROW(PACKAGES, ".cargo/config.toml"), ROW(PACKAGES, ".mvn/*"), ROW(PACKAGES, ".bundle/config"),
    ROW(PACKAGES, ".gradle/init.*"), ROW(PACKAGES, ".gemrc"),
};

/* At the top of a repository, where their programs look for them and nowhere else. */
static const struct planted_row top_rows[] = {
    ROW(HOOK_MANAGER, ".pre-commit-config.yaml"), ROW(HOOK_MANAGER, ".husky/**"),
    ROW(HOOK_MANAGER, "lefthook*.yml"), ROW(HOOK_MANAGER, ".lefthook*.yml"),
    ROW(HOOK_MANAGER, "lefthook*.yaml"), ROW(HOOK_MANAGER, ".lefthook*.yaml"),
    ROW(HOOK_MANAGER, ".githooks/*"),
    ROW(CI, ".github/workflows/*"), ROW(CI, ".github/actions/**"), ROW(CI, ".gitlab-ci.yml"),
    ROW(CI, ".gitlab/ci/**"), ROW(CI, "Jenkinsfile"), ROW(CI, "azure-pipelines.yml"),
    ROW(CI, ".circleci/*"), ROW(CI, ".travis.yml"), ROW(CI, "bitbucket-pipelines.yml"),
    ROW(CI, ".drone.yml"), ROW(CI, ".woodpecker.yml"), ROW(CI, ".woodpecker/*"),
    ROW(CI, "appveyor.yml"), ROW(CI, ".appveyor.yml"), ROW(CI, "buildspec.yml"),
    ROW(CI, "cloudbuild.yaml"), ROW(CI, ".buildkite/**"), ROW(CI, ".forgejo/workflows/*"),
    ROW(CI, ".gitea/workflows/*"), ROW(CI, ".teamcity/**"), ROW(CI, ".cirrus.yml"),
    ROW(CI, ".semaphore/*"), ROW(CI, ".builds/*.yml"),
};

#define KEY(section_, key_) { .section = section_, .key = key_ }
#define SHELL_KEY(section_, key_) { .section = section_, .key = key_, .shell = true }

/* Settings that run a program, or take others from elsewhere: SECTION[.*].KEY,
 * where "*" is any key. git-config(1). */
static const struct {
    const char *section, *key;
    bool shell; /* only with a "!" in its value */
} live_keys[] = {
    SHELL_KEY("alias", "*"), SHELL_KEY("submodule", "update"), KEY("browser", "cmd"),
    KEY("core", "alternaterefscommand"), KEY("core", "askpass"), KEY("core", "attributesfile"),
    KEY("core", "editor"), KEY("core", "fsmonitor"), KEY("core", "gitproxy"),
    KEY("core", "hookspath"), KEY("core", "pager"), KEY("core", "sshcommand"),
    KEY("core", "worktree"), KEY("credential", "helper"), KEY("diff", "command"),
    KEY("diff", "external"), KEY("diff", "textconv"), KEY("difftool", "cmd"),
    KEY("difftool", "path"), KEY("filter", "clean"), KEY("filter", "smudge"),
    KEY("filter", "process"), KEY("gpg", "program"), KEY("gpg", "defaultkeycommand"),
    KEY("guitool", "cmd"), KEY("hook", "command"), KEY("http", "cookiefile"),
    KEY("http", "extraheader"), KEY("http", "proxy"), KEY("http", "sslverify"),
    KEY("imap", "tunnel"), KEY("include", "path"), KEY("includeif", "path"),
    KEY("instaweb", "httpd"), KEY("interactive", "difffilter"), KEY("man", "cmd"),
    KEY("merge", "driver"), KEY("mergetool", "cmd"), KEY("mergetool", "path"), KEY("pager", "*"),
    KEY("protocol", "allow"), KEY("remote", "proxy"), KEY("remote", "receivepack"),
    KEY("remote", "uploadpack"), KEY("remote", "vcs"), KEY("sendemail", "*"),
    KEY("sequence", "editor"), KEY("tar", "command"), KEY("trailer", "cmd"),
    KEY("trailer", "command"), KEY("uploadpack", "packobjectshook"), KEY("url", "insteadof"),
    KEY("url", "pushinsteadof"), KEY("web", "browser"),
};
/* clang-format on */

const char *planted_words(enum planted_kind kind)
{
    return words[kind];
}

/* ---- names ---- */

/* pattern against the whole of path; '*' takes as little as will do. */
static bool is_match(const char *pattern, const char *path)
{
    const char *retry_pattern = NULL, *retry_path = NULL;

    for (;;) {
        if (pattern[0] == '*' && pattern[1] == '*' && pattern[2] == '\0')
            return *path != '\0';
        if (*pattern == '*') {
            retry_pattern = ++pattern;
            retry_path = path;
        } else if (*pattern == '\0' && *path == '\0') {
            return true;
        } else if (*path && tolower((unsigned char)*pattern) == tolower((unsigned char)*path)) {
            pattern++;
            path++;
        } else if (retry_path && *retry_path && *retry_path != '/') {
            pattern = retry_pattern;
            path = ++retry_path;
        } else {
            return false;
        }
    }
}

static const struct planted_row *search(const struct planted_row *rows, size_t count,
                                        const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (is_match(rows[i].pattern, path))
            return &rows[i];
    return NULL;
}

static const struct planted_row *find_in_git(const char *path)
{
    const struct planted_row *row = search(git_rows, ARRAY_SIZE(git_rows), path);

    /* what git puts there itself, and never runs */
    return row && row->kind == PLANTED_GIT_HOOK && str_ends_with(path, ".sample") ? NULL : row;
}

bool planted_is_in_git(const char *path)
{
    const char *slash;

    for (; (slash = strchr(path, '/')) != NULL; path = slash + 1)
        if (slash - path == 4 && strncasecmp(path, ".git", 4) == 0)
            return true;
    return false;
}

bool planted_is_of_top(const char *path)
{
    size_t len = strcspn(path, "/");

    for (size_t i = 0; len > 0 && i < ARRAY_SIZE(top_rows); i++)
        if (strncasecmp(top_rows[i].pattern, path, len) == 0 && top_rows[i].pattern[len] == '/')
            return true;
    return false;
}

const struct planted_row *planted_find(const struct planted_place *place)
{
    const char *path = place->path, *name = strrchr(path, '/');
    const struct planted_row *row;

    if (place->git != PLANTED_NOWHERE) {
        row = find_in_git(path + place->git);
        if (row || planted_is_in_git(path)) /* people work in what only looks like it */
            return row;
    }
    name = name ? name + 1 : path;
    if (place->package) /* a repository there is one all the same */
        return strcasecmp(name, ".git") == 0 ? &any_rows[0] : NULL;
    row = search(top_rows, ARRAY_SIZE(top_rows), path + place->top);
    if (!row)
        row = search(any_rows, ARRAY_SIZE(any_rows), name);
    /* a directory of theirs may be anywhere above; all of those begin with a dot */
    for (const char *part = path; !row && part < name; part = strchr(part, '/') + 1)
        if (*part == '.')
            row = search(any_rows, ARRAY_SIZE(any_rows), part);
    return row;
}

/* A row for what would lie in the directory at path. */
static const struct planted_row *search_below(const struct planted_row *rows, size_t count,
                                              const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; len > 0 && i < count; i++)
        if (strncasecmp(rows[i].pattern, path, len) == 0 && rows[i].pattern[len] == '/')
            return &rows[i];
    return NULL;
}

const struct planted_row *planted_find_link(const struct planted_place *place)
{
    const struct planted_row *row = planted_find(place);
    const char *path = place->path;

    if (!row && place->git != PLANTED_NOWHERE)
        row = search_below(git_rows, ARRAY_SIZE(git_rows), path + place->git);
    if (row || place->package || (place->git != PLANTED_NOWHERE && planted_is_in_git(path)))
        return row;
    row = search_below(top_rows, ARRAY_SIZE(top_rows), path + place->top);
    for (const char *part = path; !row && part; part = strchr(part, '/')) {
        part += *part == '/';
        row = search_below(any_rows, ARRAY_SIZE(any_rows), part);
    }
    return row;
}

const struct planted_row *planted_fixed(size_t index)
{
    for (size_t i = 0; i < ARRAY_SIZE(any_rows) + ARRAY_SIZE(top_rows); i++) {
        const struct planted_row *row =
            i < ARRAY_SIZE(any_rows) ? &any_rows[i] : &top_rows[i - ARRAY_SIZE(any_rows)];

        if (!strchr(row->pattern, '*') && index-- == 0)
            return row;
    }
    return NULL;
}

bool planted_is_odd_name(const char *name)
{
    const unsigned char *s = (const unsigned char *)name;

    for (; *s; s++) {
        if (*s < 0x20 || *s == 0x7f)
            return true;
        if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f) /* U+0080 to U+009F */
            return true;
        /* U+200B to U+200F, U+202A to U+202E, U+2066 to U+2069 */
        if (s[0] == 0xe2 && s[1] == 0x80 &&
            ((s[2] >= 0x8b && s[2] <= 0x8f) || (s[2] >= 0xaa && s[2] <= 0xae)))
            return true;
        if (s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)
            return true;
    }
    return false;
}

/* ---- links ---- */

/* Below what all may read and only root writes: with no ".." that might lead back. */
static bool is_common(const char *target)
{
    static const char *const common[] = { "/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/" };

    if (str_eq(target, "/dev/null"))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(common); i++)
        if (str_starts_with(target, common[i]))
            return !strstr(target, "/..");
    return false;
}

/* How many directories path lies below the workspace. */
static size_t depth_of(const char *path)
{
    size_t depth = 0;

    for (const char *c = path; *c; c++)
        depth += *c == '/';
    return depth;
}

bool planted_leads_out(const char *path, const char *target)
{
    size_t depth = depth_of(path);
    bool down = false;

    if (target[0] == '/')
        return !is_common(target);
    while (*target) {
        size_t len = strcspn(target, "/");

        if (len == 2 && target[0] == '.' && target[1] == '.') {
            if (down || depth == 0) /* what it went down through may be a link itself */
                return true;
            depth--;
        } else if (len > 0 && !(len == 1 && target[0] == '.')) {
            down = true;
        }
        target += len;
        target += strspn(target, "/");
    }
    return false;
}

/* ---- contents ---- */

/* A piece of text, not terminated. */
struct piece {
    const char *s;
    size_t len;
};

static bool piece_is(struct piece p, const char *word)
{
    return strlen(word) == p.len && strncasecmp(p.s, word, p.len) == 0;
}

/* Whether a header of that section is anywhere. Where sections begin and end is git's to know: what
 * is a header and what the rest of a continued value can be made hard to tell. */
static bool has_section(struct piece text, const char *section)
{
    size_t len = strlen(section);

    for (size_t i = 0; i + len + 1 < text.len; i++)
        if (text.s[i] == '[' && strncasecmp(text.s + i + 1, section, len) == 0 &&
            !isalnum((unsigned char)text.s[i + 1 + len]))
            return true;
    return false;
}

/* line: from where a key may begin. */
static bool is_live_line(struct piece line, struct piece text)
{
    struct piece key = { line.s, 0 };
    bool shell;

    while (key.len < line.len &&
           (isalnum((unsigned char)line.s[key.len]) || line.s[key.len] == '-'))
        key.len++;
    if (key.len == 0)
        return false;
    shell = memchr(line.s, '!', line.len) != NULL;
    for (size_t i = 0; i < ARRAY_SIZE(live_keys); i++)
        if ((str_eq(live_keys[i].key, "*") || piece_is(key, live_keys[i].key)) &&
            (shell || !live_keys[i].shell) && has_section(text, live_keys[i].section))
            return true;
    return false;
}

/* Errs on the safe side: what git would refuse, or read as something else, may count as live. */
static bool is_live_config(struct piece text)
{
    bool begins = true; /* a key may */

    for (size_t i = 0; i < text.len; i++) {
        const char *end = memchr(text.s + i, '\n', text.len - i);

        if (begins && !isspace((unsigned char)text.s[i])) {
            struct piece line = { text.s + i, (end ? (size_t)(end - text.s) : text.len) - i };

            if (is_live_line(line, text))
                return true;
            begins = false;
        }
        if (text.s[i] == '\n' || text.s[i] == ']')
            begins = true;
    }
    return false;
}

/* filter=, diff=, merge= with a driver of the settings; not those that git has built in, nor large
 * file storage, whose filter is the reader's own. */
static bool is_live_attribute(struct piece word)
{
    static const char *const names[] = { "filter=", "diff=", "merge=" };
    static const char *const tame[] = { "lfs",   "astextplain", "text", "binary", "union",
                                        "ours",  "bash",        "cpp",  "css",    "golang",
                                        "html",  "java",        "php",  "perl",   "python",
                                        "ruby",  "rust",        "tex",  "elixir", "markdown",
                                        "kotlin" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t len = strlen(names[i]);
        struct piece driver;

        if (word.len <= len || strncmp(word.s, names[i], len) != 0)
            continue;
        driver = (struct piece){ word.s + len, word.len - len };
        for (size_t k = 0; k < ARRAY_SIZE(tame); k++)
            if (piece_is(driver, tame[k]))
                return false;
        return true;
    }
    return false;
}

static bool is_live_attributes(const char *bytes, size_t len)
{
    while (len > 0) {
        struct piece word = { bytes, 0 };

        while (word.len < len && !isspace((unsigned char)bytes[word.len]))
            word.len++;
        if (is_live_attribute(word))
            return true;
        bytes += word.len;
        len -= word.len;
        if (len > 0)
            bytes++, len--;
    }
    return false;
}

/* "gitdir: DIRECTORY", or the directory alone. */
static bool is_live_target(const char *path, struct piece text)
{
    static const char label[] = "gitdir:";
    char target[1024];
    size_t len = 0;

    if (text.len >= strlen(label) && strncmp(text.s, label, strlen(label)) == 0) {
        text.s += strlen(label);
        text.len -= strlen(label);
    }
    while (text.len > 0 && isblank((unsigned char)*text.s))
        text.s++, text.len--;
    while (len < text.len && text.s[len] != '\n' && text.s[len] != '\r')
        len++;
    if (len >= sizeof target || memchr(text.s, '\0', len))
        return true;
    memcpy(target, text.s, len);
    target[len] = '\0';
    return planted_leads_out(path, target);
}

bool planted_is_live(enum planted_look look, const char *path, const char *bytes, size_t len)
{
    switch (look) {
    case PLANTED_BY_CONFIG:
        return is_live_config((struct piece){ bytes, len });
    case PLANTED_BY_ATTRIBUTES:
        return is_live_attributes(bytes, len);
    case PLANTED_BY_TARGET:
        return is_live_target(path, (struct piece){ bytes, len });
    case PLANTED_ALWAYS:
        break;
    }
    return true;
}
