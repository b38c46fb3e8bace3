#include "settings/settings.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "settings/assignment.h"
#include "settings/document.h"
#include "settings/envfile.h"
#include "settings/field.h"
#include "settings/overlay.h"
#include "settings/pairs.h"
#include "settings/predecessor.h"
#include "settings/profile.h"
#include "settings/table.h"
#include "settings/url.h"
#include "settings/variables.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"
#include "util/utf8.h"

/* One settings_load() in progress. */
struct load {
    const struct settings_input *input;
    struct settings fresh, defaults;
    struct overlay overlay;
    struct err *err;
};

/* Fails with -ENOMEM only, when libyaml has none; a test sets every default. */
static int set_defaults(struct settings *s, struct err *err)
{
    const struct table_row *row;
    int r = 0;

    for (size_t i = 0; r == 0 && (row = table_row(i)); i++)
        r = assignment_text(s, row, "default", row->standard, err);
    assert(r == 0 || r == -ENOMEM);
    return r;
}

static void set_origin(struct settings *s, size_t index, char *origin)
{
    free(s->origin[index]);
    s->origin[index] = origin;
}

/* After a value was set: whether this version can do what it asks for. */
static int check_fixed(const struct load *l, const struct table_row *row, const char *origin)
{
    if (!row->fixed || field_equals(&l->fresh, &l->defaults, row))
        return 0;
    return err_set(l->err, -EINVAL, "%s: %s is not available in this version; remove it", origin,
                   row->key);
}

/* ---- the file ---- */

static int fail_unknown(const struct load *l, const struct document_node *node, const char *path)
{
    enum { SHOWN = 80 };
    const char *last = strrchr(path, '.');
    const char *near = NULL;
    int shown = (int)utf8_cut(path, strlen(path), SHOWN);

    if (str_eq(last ? last + 1 : path, "api_key"))
        return err_set(l->err, -EINVAL,
                       "%s:%u:%u: the agent key doesn't belong in this file; write it to a file of "
                       "its own with mode 0600 and name that in api_key_file",
                       l->fresh.file, node->line, node->column);
    if (strchr(node->key, '.') && table_find(path, NULL))
        return err_set(l->err, -EINVAL,
                       "%s:%u:%u: write %s as a section: a line for each part of the name, each "
                       "indented more than the one before",
                       l->fresh.file, node->line, node->column, path);
    if (table_is_planned(path))
        return err_set(l->err, -EINVAL,
                       "%s:%u:%u: %.*s is not available in this version; remove it", l->fresh.file,
                       node->line, node->column, shown, path);
    if (strlen(path) <= SHOWN)
        near = table_nearest(path);
    if (near)
        return err_set(l->err, -EINVAL, "%s:%u:%u: unknown key '%.*s'; did you mean %s?",
                       l->fresh.file, node->line, node->column, shown, path, near);
    return err_set(l->err, -EINVAL,
                   "%s:%u:%u: unknown key '%.*s'; nairid.yaml(5) lists those that there are",
                   l->fresh.file, node->line, node->column, shown, path);
}

static int read_section(struct load *l, const struct document_node *map, const char *prefix);

static int read_entry(struct load *l, const struct document_node *node, const char *path)
{
    const char *file = l->fresh.file;
    AUTO_FREE char *origin = NULL;
    size_t index;
    const struct table_row *row = table_find(path, &index);
    int r;

    if (strchr(node->key, '.') || (!row && !table_is_section(path)))
        return fail_unknown(l, node, path);
    if (!row && document_is_nothing(node)) /* every key below is commented out */
        return 0;
    if (!row && node->type != DOCUMENT_MAP)
        return err_set(l->err, -EINVAL,
                       "%s:%u:%u: %s is a section: its keys follow on lines of their own, indented",
                       file, node->line, node->column, path);
    if (!row)
        return read_section(l, node, path);
    r = assignment_node(&l->fresh, row, file, node, l->err);
    if (r < 0)
        return r;
    origin = mem_printf("%s:%u:%u", file, node->line, node->column);
    r = check_fixed(l, row, origin);
    if (r == 0)
        set_origin(&l->fresh, index, TAKE_PTR(origin));
    return r;
}

static int read_section(struct load *l, const struct document_node *map, const char *prefix)
{
    for (const struct document_node *n = map->first; n; n = n->next) {
        AUTO_FREE char *path = mem_printf("%s%s%s", prefix, *prefix ? "." : "", n->key);
        int r = read_entry(l, n, path);

        if (r < 0)
            return r;
    }
    return 0;
}

static int read_text(struct load *l, const char *text, size_t len)
{
    CLEANUP_PTR(document_free) struct document_node *root = NULL;
    int r = document_parse(l->fresh.file, text, len, &root, l->err);

    if (r < 0 || !root || document_is_nothing(root))
        return r;
    if (root->type != DOCUMENT_MAP)
        return err_set(l->err, -EINVAL, "%s:%u:%u: want lines of the form 'key: value'",
                       l->fresh.file, root->line, root->column);
    return read_section(l, root, "");
}

/* What it says decides what runs, so nobody else may write it. */
static int check_file(const char *path, int fd, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "'%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "'%s' is not a regular file", path);
    if (st.st_mode & S_IWOTH)
        return err_set(err, -EPERM,
                       "'%s' may be written by anybody on this machine, and it decides what runs; "
                       "chmod o-w it",
                       path);
    if (st.st_size > DOCUMENT_SIZE_MAX)
        return err_set(err, -EMSGSIZE, "'%s' is larger than 1 MiB", path);
    return 0;
}

/* -ENOENT if there is none. Links are followed: configuration is often deployed as one. */
static int read_file(struct load *l, const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    CLEANUP(buf_done) struct buf b = { 0 };
    ssize_t n;
    int r = fd < 0 ? -errno : 0;

    if (err_set_machine(l->err, r, "open the settings file", path) < 0)
        return r;
    if (r < 0)
        return err_set(l->err, r == -ENOTDIR ? -ENOENT : r,
                       "settings file '%s': %s; name one that user %u may read, with -c or in "
                       "NAIRID_CONFIG",
                       path, strerror(-r), (unsigned)l->input->uid);
    r = check_file(path, fd, l->err);
    if (r < 0)
        return r;
    n = fd_read_all(fd, buf_reserve(&b, DOCUMENT_SIZE_MAX + 1), DOCUMENT_SIZE_MAX + 1);
    if (n < 0)
        return err_set(l->err, (int)n, "read '%s': %s", path, strerror((int)-n));
    b.len = (size_t)n;
    l->fresh.file = mem_strdup(path);
    return read_text(l, b.data, b.len);
}

/* $XDG_NAME/nairid, or $HOME/FALLBACK/nairid; NULL if the environment has neither. */
static char *xdg_dir(const char *const *env, const char *name, const char *fallback)
{
    const char *base = variables_get(env, name);
    const char *home = variables_get(env, "HOME");

    if (base && *base == '/') /* the specification has others ignored */
        return mem_printf("%s/nairid", base);
    return home && *home == '/' ? mem_printf("%s/%s/nairid", home, fallback) : NULL;
}

static int find_file(struct load *l)
{
    const char *named =
        l->input->file ? l->input->file : variables_get(l->input->environ, "NAIRID_CONFIG");
    AUTO_FREE char *dir = NULL, *own = NULL;
    int r;

    if (named)
        return read_file(l, named);
    dir = xdg_dir(l->input->environ, "XDG_CONFIG_HOME", ".config");
    if (dir) {
        own = mem_printf("%s/nairid.yaml", dir);
        r = read_file(l, own);
        if (r != -ENOENT)
            return r;
    }
    r = read_file(l, "/etc/nairid/nairid.yaml");
    return r == -ENOENT ? 0 : r;
}

/* ---- environment, flags, and what follows from them ---- */

static int set_from(struct load *l, size_t index, const char *value, char *origin)
{
    AUTO_FREE char *owned = origin;
    const struct table_row *row = table_row(index);
    int r = assignment_text(&l->fresh, row, origin, value, l->err);

    if (r == 0)
        r = check_fixed(l, row, origin);
    if (r == 0)
        set_origin(&l->fresh, index, TAKE_PTR(owned));
    return r;
}

/* A line of that file that can't be used is as good as absent: it may be changed at any time, and
 * what runs goes on. */
static int set_from_environment(struct load *l, size_t index)
{
    const struct table_row *row = table_row(index);
    char buffer[TABLE_KEY_MAX + 8];
    const char *name, *value = variables_for(l->overlay.environ, row, buffer, &name);
    const struct dotenv_entry *e = value ? overlay_find(&l->overlay, name, value) : NULL;
    AUTO_FREE char *warning = NULL;
    int r;

    if (!value)
        return 0;
    if (!e)
        return set_from(l, index, value, mem_printf("environment variable %s", name));
    r = set_from(l, index, value, mem_printf("%s:%u:%u", l->fresh.env_file, e->line, e->column));
    if (r != -EINVAL)
        return r;
    warning = mem_printf("%s; the line is left out", l->err ? l->err->text : name);
    strv_add(&l->fresh.warnings, warning);
    value = variables_for(l->input->environ, row, buffer, &name);
    return value ? set_from(l, index, value, mem_printf("environment variable %s", name)) : 0;
}

static int read_environment(struct load *l)
{
    int r = overlay_read(l->input->environ, &l->fresh, &l->overlay, l->err);

    for (size_t i = 0; r == 0 && table_row(i); i++)
        r = set_from_environment(l, i);
    if (r == 0)
        variables_unknown(l->overlay.environ, &l->fresh.warnings);
    return r;
}

static int fail_flag(const struct load *l, const struct settings_flag *flag)
{
    const char *near = table_nearest(flag->key);

    if (table_is_planned(flag->key))
        return err_set(l->err, -EINVAL, "option %s: %s is not available in this version",
                       flag->flag, flag->key);
    if (near)
        return err_set(l->err, -EINVAL, "option %s: unknown key '%s'; did you mean %s?", flag->flag,
                       flag->key, near);
    return err_set(l->err, -EINVAL, "option %s: unknown key '%s'", flag->flag, flag->key);
}

static int read_flags(struct load *l)
{
    for (size_t i = 0; i < l->input->flag_count; i++) {
        const struct settings_flag *flag = &l->input->flags[i];
        size_t index = 0;
        int r;

        if (!table_find(flag->key, &index))
            return fail_flag(l, flag);
        r = set_from(l, index, flag->value, mem_printf("option %s", flag->flag));
        if (r < 0)
            return r;
    }
    return 0;
}

static int absolute(const char *path, char **ret_path, struct err *err)
{
    AUTO_FREE char *here = NULL;

    if (*path == '/') {
        *ret_path = mem_strdup(path);
        return 0;
    }
    here = getcwd(NULL, 0);
    if (!here)
        return err_set(err, -errno, "find the current directory: %s", strerror(errno));
    *ret_path = mem_printf("%s/%s", here, path);
    return 0;
}

/* Without what says nothing, doubled slashes and ".": a task's paths have none. HOME is "/" where
 * an account has no home, as in containers. */
static char *tidied(char *path)
{
    char *to = path;

    for (const char *from = path; *from == '/';) {
        size_t len = strcspn(from + 1, "/");
        bool says_nothing = len == 0 || (len == 1 && from[1] == '.');

        if (!says_nothing) {
            memmove(to, from, len + 1);
            to += len + 1;
        }
        from += len + 1;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
    return path;
}

int settings_state_dir(const struct settings_input *in, char **ret_dir, struct err *err)
{
    const char *given =
        in->state_dir ? in->state_dir : variables_get(in->environ, "STATE_DIRECTORY");
    const char *xdg = variables_get(in->environ, "XDG_STATE_HOME");
    AUTO_FREE char *first = NULL;
    AUTO_FREE char *dir = NULL;

    if (given) { /* the unit's variable may name several, the first is ours */
        int r;

        first = in->state_dir ? mem_strdup(given) : mem_strndup(given, strcspn(given, ":"));
        r = absolute(first, ret_dir, err);
        if (r == 0)
            (void)tidied(*ret_dir);
        return r;
    }
    dir = in->uid == 0 && !xdg ? mem_strdup("/var/lib/nairid")
                               : xdg_dir(in->environ, "XDG_STATE_HOME", ".local/state");
    if (!dir)
        return err_set(
            err, -EINVAL,
            "no place for the state: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is "
            "set; name one with --state DIR");
    *ret_dir = tidied(TAKE_PTR(dir));
    return 0;
}

static void warn_of_gateway(struct settings *s)
{
    char place[SETTINGS_PLACE_MAX];
    AUTO_FREE char *warning = NULL;

    if (!s->runner_mcp_gateway)
        return;
    (void)settings_place(s, "runner.mcp_gateway", place);
    if (str_eq(s->runner_name, "command"))
        warning = mem_printf("%srunner.mcp_gateway has no effect on the runner command", place);
    else if (str_eq(s->sandbox_network_mode, "none"))
        warning = mem_printf("%srunner.mcp_gateway has no effect with sandbox.network.mode: none, "
                             "as a task reaches nothing: set that to allowlist",
                             place);
    if (warning)
        strv_add(&s->warnings, warning);
}

static void warn(struct settings *s)
{
    warn_of_gateway(s);
    if (url_is_exposed(s->server_url)) {
        AUTO_FREE char *warning = mem_printf(
            "server.url %s is not https: the agent key travels readable for all in between",
            s->server_url);

        strv_add(&s->warnings, warning);
    }
    if (str_eq(s->runner_name, "command") && s->runner_model)
        strv_add(&s->warnings, "runner.model has no effect on the runner command");
    if (str_eq(s->runner_name, "command") && s->runner_permissions == SETTINGS_BYPASS)
        strv_add(&s->warnings, "runner.permissions has no effect on the runner command");
    if (s->sandbox_network_allow.len > 0 && !str_eq(s->sandbox_network_mode, "allowlist")) {
        char place[SETTINGS_PLACE_MAX];
        AUTO_FREE char *warning = mem_printf(
            "%ssandbox.network.allow has no effect with sandbox.network.mode: %s (%s): for these "
            "hosts and no others set it to allowlist",
            settings_place(s, "sandbox.network.allow", place), s->sandbox_network_mode,
            str_eq(s->sandbox_network_mode, "none") ? "a task reaches nothing"
                                                    : "a task reaches everything");

        strv_add(&s->warnings, warning);
    }
}

static int resolve(struct load *l)
{
    struct settings *s = &l->fresh;
    size_t concurrency = 0;
    int r = settings_state_dir(l->input, &s->state_dir, l->err);

    if (r == 0 && l->input->as_before && !s->file)
        r = predecessor_apply(l->input, s, l->err);
    if (r < 0)
        return r;
    envfile_merge(s, &l->overlay.dotenv);
    (void)table_find("max_concurrency", &concurrency); /* a row of ours: always there */
    if (!s->file && !s->origin[concurrency])
        s->max_concurrency = 1;
    if (!s->workspace_root)
        s->workspace_root = mem_printf("%s/jobs", s->state_dir);
    r = profile_load(s->sandbox_profile, &s->profile, l->err);
    if (r < 0)
        return r;
    if (!s->sandbox_network_mode)
        s->sandbox_network_mode = mem_strdup(s->profile->network);
    predecessor_pass_proxy(s);
    heritage_find(l->input, l->overlay.environ, s, &s->heritage);
    warn(s);
    return 0;
}

int settings_load(const struct settings_input *input, struct settings *ret_settings,
                  struct err *err)
{
    struct load l = { .input = input, .err = err };
    int r;

    l.fresh.origin = mem_calloc(table_len(), sizeof *l.fresh.origin);
    r = set_defaults(&l.fresh, err);
    if (r == 0)
        r = set_defaults(&l.defaults, err);
    if (r == 0)
        r = find_file(&l);
    if (r == 0)
        r = read_environment(&l);
    if (r == 0)
        r = read_flags(&l);
    if (r == 0)
        r = resolve(&l);
    settings_done(&l.defaults);
    overlay_done(&l.overlay);
    if (r < 0)
        settings_done(&l.fresh);
    else
        *ret_settings = l.fresh;
    return r;
}

/* ---- can the daemon run with them? ---- */

const char *settings_place(const struct settings *s, const char *key,
                           char buffer[SETTINGS_PLACE_MAX])
{
    size_t index = 0;
    const char *origin;

    (void)table_find(key, &index); /* called with our own keys only */
    origin = s->origin ? s->origin[index] : NULL;
    (void)snprintf(buffer, SETTINGS_PLACE_MAX, "%s%s", origin ? origin : "", origin ? ": " : "");
    return buffer;
}

/* Whether the runner is there, and what else it needs, is the runner's to say. */
static int check_command(const struct settings *s, struct err *err)
{
    char place[SETTINGS_PLACE_MAX];

    if (s->runner_program)
        return err_set(err, -EINVAL,
                       "%srunner.program has no meaning for the runner command; write the program "
                       "first in runner.argv and remove it",
                       settings_place(s, "runner.program", place));
    if (s->runner_argv.len == 0 || !*s->runner_argv.items[0])
        return err_set(err, -EINVAL,
                       "%srunner.argv is required for the runner command: the program and its "
                       "arguments, such as [sh] or [/usr/bin/python3, -u, /opt/work.py]",
                       settings_place(s, "runner.argv", place));
    return 0;
}

static int check_variables(const struct settings *s, struct err *err)
{
    char place[SETTINGS_PLACE_MAX];

    for (size_t i = 0; i < s->runner_env.len; i++)
        for (size_t j = 0; j < s->runner_secrets.len; j++)
            if (str_eq(s->runner_env.items[i].name, s->runner_secrets.items[j].name))
                return err_set(err, -EINVAL,
                               "%srunner.secrets: %s is in runner.env too; remove one of the two",
                               settings_place(s, "runner.secrets", place),
                               s->runner_env.items[i].name);
    return 0;
}

int settings_check(const struct settings *s, struct err *err)
{
    int r = 0;

    if (!s->agent_id)
        return err_set(err, -EINVAL,
                       "agent.id is required: set it in %s, or the environment variable "
                       "NAIRID_AGENT_ID",
                       s->file ? s->file : "the settings file");
    if (str_eq(s->runner_name, "command"))
        r = check_command(s, err);
    if (r == 0)
        r = check_variables(s, err);
    return r;
}

void settings_done(struct settings *s)
{
    const struct table_row *row;

    for (size_t i = 0; (row = table_row(i)); i++) {
        field_done(s, row);
        if (s->origin)
            free(s->origin[i]);
    }
    free(s->origin);
    free(s->state_dir);
    free(s->file);
    free(s->env_file);
    strv_done(&s->env_names);
    strv_done(&s->env_inherited);
    free(s->agent_repo);
    heritage_done(&s->heritage);
    profile_free(s->profile);
    pairs_done(&s->runner_provided);
    strv_done(&s->warnings);
    *s = (struct settings){ 0 };
}

void settings_print(const struct settings *s, struct buf *b)
{
    const struct table_row *row;

    buf_printf(b, "# file: %s\n# state: %s\n", s->file ? s->file : "none",
               s->state_dir ? s->state_dir : "none");
    for (size_t i = 0; (row = table_row(i)); i++) {
        buf_printf(b, "%s: ", row->key);
        field_print(s, row, b);
        buf_printf(b, "  # %s\n", s->origin && s->origin[i] ? s->origin[i] : "default");
    }
}

void settings_unreloadable(const struct settings *old, const struct settings *fresh,
                           struct strv *ret_keys)
{
    const struct table_row *row;

    for (size_t i = 0; (row = table_row(i)); i++)
        if (!row->reloadable && !field_equals(old, fresh, row))
            strv_add(ret_keys, row->key);
}
