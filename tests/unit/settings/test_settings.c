#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "settings/assignment.h"
#include "settings/field.h"
#include "settings/settings.h"
#include "settings/table.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/strv.h"
#include "util/utf8.h"

/* A folder with a settings file, and an environment in which nothing else is found. */
struct fixture {
    char dir[64];
    char *file;
    char *home; /* "HOME=DIR" */
    struct settings s;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    (void)snprintf(f->dir, sizeof f->dir, "/tmp/test-settings-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->file = mem_printf("%s/c.yaml", f->dir);
    f->home = mem_printf("HOME=%s", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    settings_done(&f->s);
    (void)remove(f->file); /* not every test writes it */
    assert_int_equal(rmdir(f->dir), 0);
    free(f->file);
    free(f->home);
    free(f);
    return 0;
}

static void write_file(const struct fixture *f, const char *text)
{
    struct err err = { 0 };

    assert_int_equal(fd_write_file(f->file, text, strlen(text), 0644, &err), 0);
}

static int load_env(struct fixture *f, const char *yaml, const char *const *env,
                    const struct settings_flag *flags, size_t flag_count)
{
    const struct settings_input input = {
        .file = yaml ? f->file : NULL,
        .environ = env,
        .flags = flags,
        .flag_count = flag_count,
        .uid = 1000,
    };

    if (yaml)
        write_file(f, yaml);
    settings_done(&f->s);
    f->err = (struct err){ 0 };
    return settings_load(&input, &f->s, &f->err);
}

static int load(struct fixture *f, const char *yaml)
{
    const char *const env[] = { f->home, NULL };

    return load_env(f, yaml, env, NULL, 0);
}

/* The text after the file's name: "LINE:COLUMN: ...". */
static void assert_refused(struct fixture *f, const char *yaml, const char *want)
{
    AUTO_FREE char *prefix = mem_printf("%s:", f->file);

    assert_int_equal(load(f, yaml), -EINVAL);
    assert_int_equal(f->err.code, -EINVAL);
    assert_int_equal(strncmp(f->err.text, prefix, strlen(prefix)), 0);
    assert_string_equal(f->err.text + strlen(prefix), want);
}

static void without_a_file_the_defaults_hold_and_one_job_runs_at_a_time(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *jobs = mem_printf("%s/.local/state/nairid/jobs", f->dir);

    assert_int_equal(load(f, NULL), 0);
    assert_null(f->s.file);
    assert_string_equal(f->s.server_url, "https://api.nairi.ai");
    assert_int_equal(f->s.server_poll_ms, 50000);
    assert_int_equal(f->s.max_concurrency, 1);
    assert_int_equal(f->s.drain_timeout_ms, 300000);
    assert_int_equal(f->s.task_reply_limit_bytes, 256 * 1024);
    assert_int_equal(f->s.attachments_max_bytes, 50 << 20);
    assert_int_equal(f->s.sandbox_limits_memory_bytes, 4ull << 30);
    assert_int_equal(f->s.workspace_retention_s, 7 * 86400);
    assert_string_equal(f->s.sandbox_network_mode, "allowlist");
    assert_string_equal(f->s.workspace_root, jobs);
    assert_null(f->s.agent_id);
}

static void every_default_is_in_its_own_range(void **state)
{
    const struct table_row *row;

    (void)state;
    for (size_t i = 0; (row = table_row(i)); i++) {
        struct settings s = { 0 };
        struct err err = { 0 };

        if (assignment_text(&s, row, "default", row->standard, &err) < 0)
            fail_msg("%s", err.text);
        field_done(&s, row);
    }
}

static void the_file_sets_every_kind_of_value(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f, "server: {url: 'https://h:8443/base/', poll: 1m30s}\n"
                             "agent:\n  id: some-agent\n"
                             "api_key_file: /etc/key\n"
                             "max_concurrency: 7\n"
                             "task:\n  reply_limit: 1M\n"
                             "runner:\n"
                             "  name: command\n"
                             "  argv:\n    - sh\n    - -c\n    - ''\n"
                             "  permissions: bypass\n"
                             "  env: {A: 1, B: ''}\n"
                             "  secrets:\n    T: {file: /etc/t}\n"
                             "sandbox:\n"
                             "  profile: strict\n"
                             "  read: [/opt]\n"
                             "  limits: {cpu: 200%, files: 100}\n"
                             "workspace: {root: /srv/jobs, retention: 0}\n"),
                     0);
    assert_string_equal(f->s.file, f->file);
    assert_string_equal(f->s.server_url, "https://h:8443/base");
    assert_int_equal(f->s.server_poll_ms, 90000);
    assert_string_equal(f->s.agent_id, "some-agent");
    assert_string_equal(f->s.api_key_file, "/etc/key");
    assert_int_equal(f->s.max_concurrency, 7);
    assert_int_equal(f->s.task_reply_limit_bytes, 1024 * 1024);
    assert_string_equal(f->s.runner_name, "command");
    assert_int_equal(f->s.runner_argv.len, 3);
    assert_string_equal(f->s.runner_argv.items[1], "-c");
    assert_string_equal(f->s.runner_argv.items[2], "");
    assert_null(f->s.runner_argv.items[3]);
    assert_int_equal(f->s.runner_permissions, SETTINGS_BYPASS);
    assert_int_equal(f->s.runner_env.len, 2);
    assert_string_equal(f->s.runner_env.items[0].name, "A");
    assert_string_equal(f->s.runner_env.items[0].value, "1");
    assert_string_equal(f->s.runner_env.items[1].value, "");
    assert_string_equal(f->s.runner_secrets.items[0].name, "T");
    assert_string_equal(f->s.runner_secrets.items[0].value, "/etc/t");
    assert_string_equal(f->s.sandbox_network_mode, "none"); /* of strict */
    assert_string_equal(f->s.sandbox_read.items[0], "/opt");
    assert_int_equal(f->s.sandbox_limits_cpu_percent, 200);
    assert_int_equal(f->s.sandbox_limits_files, 100);
    assert_int_equal(f->s.sandbox_limits_pids, 512);
    assert_string_equal(f->s.workspace_root, "/srv/jobs");
    assert_int_equal(f->s.workspace_retention_s, 0);
}

static void an_empty_file_counts_as_a_file(void **state)
{
    struct fixture *f = *state;
    static const char *const empty[] = { "", "# nothing\n", "server:\nsandbox:\n  limits: ~\n",
                                         "~\n", "{}\n" };

    for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
        assert_int_equal(load(f, empty[i]), 0);
        assert_int_equal(f->s.max_concurrency, 4);
        assert_string_equal(f->s.file, f->file);
    }
}

static void unknown_keys_name_the_nearest_valid_one(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        { "max_concurency: 2\n",
          "1:1: unknown key 'max_concurency'; did you mean max_concurrency?" },
        { "\nserver:\n  polll: 5s\n",
          "3:3: unknown key 'server.polll'; did you mean server.poll?" },
        { "timeout: 5m\n", "1:1: unknown key 'timeout'; did you mean task.timeout?" },
        { "sandbox:\n  memory: 4G\n",
          "2:3: unknown key 'sandbox.memory'; did you mean sandbox.limits.memory?" },
        { "srever:\n  url: x\n", "1:1: unknown key 'srever'; did you mean server?" },
        { "zzzzzzzzzzzz: 1\n",
          "1:1: unknown key 'zzzzzzzzzzzz'; nairid.yaml(5) lists those that there are" },
        { "server.url: https://h\n", "1:1: write server.url as a section: a line for each part of "
                                     "the name, each indented more "
                                     "than the one before" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_refused(f, cases[i].yaml, cases[i].want);
}

static void a_long_unknown_key_is_cut_on_a_character(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf b = { 0 };

    buf_append_char(&b, 'x');
    for (int i = 0; i < 400; i++)
        buf_append_str(&b, "\xc3\xa4");
    buf_append_str(&b, ": 1\n");
    assert_int_equal(load(f, buf_str(&b)), -EINVAL);
    assert_true(utf8_is_valid(f->err.text, strlen(f->err.text)));
    assert_non_null(strstr(f->err.text, "lists those that there are"));
}

static void wrong_types_and_ranges_name_the_place_the_range_and_the_unit(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        { "max_concurrency: 0\n", "1:1: max_concurrency: 0 is out of range: 1 to 1024" },
        { "max_concurrency: 99999999999999999999\n",
          "1:1: max_concurrency: 99999999999999999999 is out of range: 1 to 1024" },
        { "max_concurrency: -1\n", "1:1: max_concurrency: '-1' is not a whole number" },
        { "max_concurrency: [4]\n", "1:1: max_concurrency: want one value, not a list" },
        { "max_concurrency: {a: 4}\n", "1:1: max_concurrency: want one value, not a map" },
        { "max_concurrency:\n", "1:1: max_concurrency: no value; give one or remove the line" },
        { "server:\n  poll: 50\n", "2:3: server.poll: '50' is not a duration with its unit, such "
                                   "as 500ms, 50s or 1h30m" },
        { "server:\n  poll: 6m\n", "2:3: server.poll: 6m is out of range: 1s to 5m" },
        { "server: {poll: 0}\n", "1:10: server.poll: 0 is out of range: 1s to 5m" },
        { "journal: {retention: 500ms}\n",
          "1:11: journal.retention: '500ms' is not a duration of whole seconds with its unit, such "
          "as 90s, 12h or 7d" },
        { "journal: {retention: 1s}\n",
          "1:11: journal.retention: 1s is out of range: 1h to 3650d" },
        { "task: {reply_limit: 5}\n", "1:8: task.reply_limit: '5' is not a size with its unit, "
                                      "such as 256K, 64M or 4G" },
        { "task: {reply_limit: 1G}\n", "1:8: task.reply_limit: 1G is out of range: 1K to 16M" },
        { "sandbox: {limits: {cpu: 100}}\n",
          "1:20: sandbox.limits.cpu: '100' is not a percentage, such as 200%" },
        { "sandbox: {limits: {cpu: 0%}}\n",
          "1:20: sandbox.limits.cpu: 0% is out of range: 1% to 100000%" },
        { "log: {level: loud}\n",
          "1:7: log.level: 'loud' is not one of error, warning, notice, info or debug" },
        { "runner: {permissions: all}\n",
          "1:10: runner.permissions: 'all' is not one of edits or bypass" },
        { "runner: {name: ''}\n", "1:10: runner.name: empty" },
        { "server: {url: 'ftp://h'}\n", "1:10: server.url: must begin with https:// or http://" },
        { "server: {url: 'https://u:secret@h'}\n",
          "1:10: server.url: user and password don't belong in it" },
        { "server: {proxy: 'http://u:secret@ h'}\n",
          "1:10: server.proxy: there is white space in it" },
        { "api_key_file: key\n", "1:1: api_key_file: want a path that begins with /" },
        { "agent: {id: 'a b'}\n", "1:9: agent.id: only letters, digits and punctuation of ASCII "
                                  "may be in it" },
        { "runner: {argv: sh}\n", "1:10: runner.argv: want a list, such as [one, two], not text" },
        { "runner:\n  argv: [sh, [x]]\n", "2:14: runner.argv: each entry is text, not a list" },
        { "runner: {argv: [sh, ~]}\n", "1:21: runner.argv: each entry is text, not nothing" },
        { "sandbox: {read: [opt]}\n",
          "1:18: sandbox.read: 'opt' is not a path that begins with /" },
        { "runner: {env: [A]}\n",
          "1:10: runner.env: want a map, such as {NAME: value}, not a list" },
        { "runner:\n  env:\n    A B: 1\n",
          "3:5: runner.env: 'A B' can't be the name of an environment variable" },
        { "runner:\n  env:\n    A:\n",
          "3:5: runner.env: A: want text, not nothing; write \"\" for an empty value" },
        { "runner: {secrets: {T: hunter2}}\n",
          "1:20: runner.secrets: T: want {file: PATH}; a secret itself doesn't belong here" },
        { "runner: {secrets: {T: {file: t}}}\n",
          "1:24: runner.secrets: T: want a path that begins with /" },
        { "runner: {secrets: {T: {file: /t, x: 1}}}\n",
          "1:20: runner.secrets: T: want {file: PATH}; a secret itself doesn't belong here" },
        { "server: 5\n", "1:1: server is a section: its keys follow on lines of their own, "
                         "indented" },
        { "sandbox: {limits: []}\n", "1:11: sandbox.limits is a section: its keys follow on lines "
                                     "of their own, indented" },
        { "[1]\n", "1:1: want lines of the form 'key: value'" },
        { "just text\n", "1:1: want lines of the form 'key: value'" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_refused(f, cases[i].yaml, cases[i].want);
}

static void a_key_given_twice_names_both_places(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *want =
        mem_printf("3:1: 'max_queued' is here a second time; the first is at %s:1:1", f->file);

    assert_refused(f, "max_queued: 5\nmax_concurrency: 1\nmax_queued: 6\n", want);
}

static void the_agent_key_is_refused_in_the_file_without_being_shown(void **state)
{
    struct fixture *f = *state;
    static const char *const yaml[] = { "api_key: nairid_topsecret\n",
                                        "\nserver:\n  api_key: nairid_topsecret\n" };
    static const char want[] = "the agent key doesn't belong in this file; write it to a file of "
                               "its own with mode 0600 and name that in api_key_file";

    for (size_t i = 0; i < ARRAY_SIZE(yaml); i++) {
        assert_int_equal(load(f, yaml[i]), -EINVAL);
        assert_non_null(strstr(f->err.text, want));
        assert_null(strstr(f->err.text, "topsecret"));
    }
}

static void what_a_later_version_has_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        { "nomic: {x: 1}\n", "1:1: nomic is not available in this version; remove it" },
        { "nexora:\n", "1:1: nexora is not available in this version; remove it" },
        { "forge: {token_file: x}\n", "1:1: forge is not available in this version; remove it" },
        { "workspace: {repo: /srv/r}\n",
          "1:13: workspace.repo is not available in this version; remove it" },
        { "metrics: {listen: '127.0.0.1:9'}\n",
          "1:11: metrics.listen is not available in this version; remove it" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_refused(f, cases[i].yaml, cases[i].want);
    assert_int_equal(load(f, "sandbox: {warm: 2, network: {allow: []}}\n"
                             "workspace: {repo: none}\n"
                             "metrics: {listen: off}\n"),
                     0);
}

static void a_file_that_is_not_there_or_not_fit_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct settings_input missing = { .file = "/nonexistent/x.yaml" };
    const struct settings_input directory = { .file = f->dir };
    CLEANUP(buf_done) struct buf big = { 0 };

    assert_int_equal(settings_load(&missing, &f->s, &f->err), -ENOENT);
    assert_string_equal(f->err.text, "settings file '/nonexistent/x.yaml': No such file or "
                                     "directory; name one that user 0 may read, "
                                     "with -c or in NAIRID_CONFIG");
    assert_int_equal(settings_load(&directory, &f->s, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "is not a regular file"));

    assert_int_equal(load(f, "max_queued: 5\n"), 0);
    assert_int_equal(chmod(f->file, 0666), 0);
    assert_int_equal(load_env(f, NULL, NULL, NULL, 0), -EINVAL); /* no HOME, no state */
    assert_int_equal(settings_load(&(struct settings_input){ .file = f->file }, &f->s, &f->err),
                     -EPERM);
    assert_non_null(strstr(f->err.text, "may be written by anybody on this machine, and it decides "
                                        "what runs; chmod o-w it"));
    assert_int_equal(chmod(f->file, 0664), 0);
    while (big.len <= 1024 * 1024)
        buf_append_str(&big, "# filler\n");
    assert_int_equal(load(f, buf_str(&big)), -EMSGSIZE);
    assert_non_null(strstr(f->err.text, "larger than 1 MiB"));
}

static void the_file_is_searched_for_in_order(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *dir = mem_printf("%s/.config", f->dir);
    AUTO_FREE char *sub = mem_printf("%s/nairid", dir);
    AUTO_FREE char *file = mem_printf("%s/nairid.yaml", sub);
    AUTO_FREE char *xdg = mem_printf("XDG_CONFIG_HOME=%s", dir);
    AUTO_FREE char *named = mem_printf("NAIRID_CONFIG=%s", f->file);
    const char *const by_home[] = { f->home, NULL };
    const char *const by_xdg[] = { "HOME=/nonexistent", xdg, NULL };
    const char *const by_name[] = { f->home, named, NULL };
    const char *const by_missing_name[] = { f->home, "NAIRID_CONFIG=/nonexistent", NULL };

    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mkdir(sub, 0700), 0);
    assert_int_equal(fd_write_file(file, "max_queued: 11\n", 15, 0600, NULL), 0);
    write_file(f, "max_queued: 22\n");
    assert_int_equal(load_env(f, NULL, by_home, NULL, 0), 0);
    assert_int_equal(f->s.max_queued, 11);
    assert_string_equal(f->s.file, file);
    assert_int_equal(load_env(f, NULL, by_xdg, NULL, 0), 0);
    assert_int_equal(f->s.max_queued, 11);
    assert_int_equal(load_env(f, NULL, by_name, NULL, 0), 0);
    assert_int_equal(f->s.max_queued, 22);
    /* a file that was named must be there */
    assert_int_equal(load_env(f, NULL, by_missing_name, NULL, 0), -ENOENT);
    assert_int_equal(load_env(f, "max_queued: 33\n", by_name, NULL, 0), 0);
    assert_int_equal(f->s.max_queued, 33);
    assert_int_equal(remove(file), 0);
    assert_int_equal(rmdir(sub), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void environment_goes_over_the_file_and_flags_over_both(void **state)
{
    struct fixture *f = *state;
    const char *const env[] = { f->home,
                                "NAIRID_MAX_QUEUED=20",
                                "NAIRID_SANDBOX_LIMITS_PIDS=99",
                                "NAIRID_RUNNER_ARGV=[sh, '-c', \"a b\"]",
                                "NAIRID_RUNNER_SECRETS={T: {file: /t}}",
                                "NAIRID_TASK_TIMEOUT=",
                                NULL };
    const struct settings_flag flags[] = {
        { .key = "max_queued", .value = "30", .flag = "--set" },
    };

    assert_int_equal(load_env(f, "max_queued: 10\nmax_concurrency: 2\n", env, flags, 1), 0);
    assert_int_equal(f->s.max_queued, 30);
    assert_int_equal(f->s.max_concurrency, 2);
    assert_int_equal(f->s.sandbox_limits_pids, 99);
    assert_int_equal(f->s.task_timeout_ms, 3600000); /* empty counts as unset */
    assert_int_equal(f->s.runner_argv.len, 3);
    assert_string_equal(f->s.runner_argv.items[2], "a b");
    assert_string_equal(f->s.runner_secrets.items[0].value, "/t");
    assert_int_equal(f->s.warnings.len, 0);
}

static void the_old_variables_work_and_the_new_ones_win(void **state)
{
    struct fixture *f = *state;
    const char *const old[] = { f->home, "EKSEC_WS_API_URL=https://e/socketio/", "EKSEC_AGENT_ID=e",
                                "MAX_CONCURRENCY=6", NULL };
    const char *const newer[] = { f->home,
                                  "EKSEC_WS_API_URL=https://e/",
                                  "NAIRI_WS_API_URL=https://n/socketio/",
                                  "EKSEC_AGENT_ID=e",
                                  "NAIRI_AGENT_ID=n",
                                  NULL };
    const char *const own[] = { f->home,
                                "NAIRI_WS_API_URL=https://n/",
                                "NAIRID_SERVER_URL=https://o",
                                "MAX_CONCURRENCY=6",
                                "NAIRID_MAX_CONCURRENCY=9",
                                NULL };

    assert_int_equal(load_env(f, NULL, old, NULL, 0), 0);
    assert_string_equal(f->s.server_url, "https://e");
    assert_string_equal(f->s.agent_id, "e");
    assert_int_equal(f->s.max_concurrency, 6);
    assert_int_equal(load_env(f, NULL, newer, NULL, 0), 0);
    assert_string_equal(f->s.server_url, "https://n");
    assert_string_equal(f->s.agent_id, "n");
    assert_int_equal(load_env(f, NULL, own, NULL, 0), 0);
    assert_string_equal(f->s.server_url, "https://o");
    assert_int_equal(f->s.max_concurrency, 9);
}

static void errors_in_the_environment_and_in_flags_name_them(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *variable, *want;
    } bad[] = {
        { "MAX_CONCURRENCY=many", "environment variable MAX_CONCURRENCY: max_concurrency: 'many' "
                                  "is not a whole number" },
        { "NAIRID_TASK_TIMEOUT=60",
          "environment variable NAIRID_TASK_TIMEOUT: task.timeout: '60' "
          "is not a duration with its unit, such as 500ms, 50s or 1h30m" },
        { "NAIRID_RUNNER_ARGV=sh -c", "environment variable NAIRID_RUNNER_ARGV:1:1: runner.argv: "
                                      "want a list, such as [one, two], not text" },
        { "NAIRID_RUNNER_ARGV=[sh", "environment variable NAIRID_RUNNER_ARGV:2:1: not valid YAML: "
                                    "did not find expected ',' or ']' while parsing a flow "
                                    "sequence" },
        { "NAIRID_METRICS_LISTEN=127.0.0.1:9",
          "environment variable NAIRID_METRICS_LISTEN: metrics.listen "
          "is not available in this version; remove it" },
    };
    static const struct {
        struct settings_flag flag;
        const char *want;
    } bad_flags[] = {
        { { .key = "workspace.repo", .value = "/r", .flag = "--repo" },
          "option --repo: workspace.repo is not available in this version; remove it" },
        { { .key = "max_que", .value = "1", .flag = "--set" },
          "option --set: unknown key 'max_que'; did you mean max_queued?" },
        { { .key = "sandbox.limit.pids", .value = "1", .flag = "--set" },
          "option --set: unknown key 'sandbox.limit.pids'; did you mean sandbox.limits.pids?" },
        { { .key = "forge.token", .value = "1", .flag = "--set" },
          "option --set: forge.token is not available in this version" },
        { { .key = "max_queued", .value = "x", .flag = "--set" },
          "option --set: max_queued: 'x' is not a whole number" },
        { { .key = "agent.id", .value = "a b", .flag = "--set" },
          "option --set: agent.id: only letters, digits and punctuation of ASCII may be in it" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *const env[] = { f->home, bad[i].variable, NULL };

        assert_int_equal(load_env(f, NULL, env, NULL, 0), -EINVAL);
        assert_string_equal(f->err.text, bad[i].want);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_flags); i++) {
        const char *const env[] = { f->home, NULL };

        assert_int_equal(load_env(f, NULL, env, &bad_flags[i].flag, 1), -EINVAL);
        assert_string_equal(f->err.text, bad_flags[i].want);
    }
}

static void unknown_variables_and_open_lines_are_warned_of(void **state)
{
    struct fixture *f = *state;
    const char *const env[] = { f->home,
                                "NAIRID_MAX_QUEUE=5",
                                "NAIRID_CONFIG=",
                                "NAIRID_WHATEVER_ELSE=5",
                                "NAIRID_SERVER_URL=http://h",
                                "OTHER=1",
                                NULL };

    assert_int_equal(load_env(f, NULL, env, NULL, 0), 0);
    assert_int_equal(f->s.warnings.len, 3);
    assert_string_equal(f->s.warnings.items[0], "environment variable NAIRID_MAX_QUEUE has no "
                                                "effect; did you mean NAIRID_MAX_QUEUED?");
    assert_string_equal(f->s.warnings.items[1],
                        "environment variable NAIRID_WHATEVER_ELSE has no effect");
    assert_string_equal(f->s.warnings.items[2], "server.url http://h is not https: the agent key "
                                                "travels readable for all in between");
    assert_int_equal(load(f, "runner: {name: command, model: m, permissions: bypass}\n"), 0);
    assert_int_equal(f->s.warnings.len, 2);
    assert_string_equal(f->s.warnings.items[0], "runner.model has no effect on the runner command");
    assert_string_equal(f->s.warnings.items[1],
                        "runner.permissions has no effect on the runner command");
}

static void the_state_directory_is_found_in_order(void **state)
{
    struct fixture *f = *state;
    const char *const all[] = { f->home, "XDG_STATE_HOME=/xdg", "STATE_DIRECTORY=/run/a:/run/b",
                                NULL };
    const char *const xdg[] = { f->home, "XDG_STATE_HOME=/xdg", NULL };
    const char *const relative_xdg[] = { f->home, "XDG_STATE_HOME=xdg", NULL };
    const char *const nothing[] = { NULL };
    AUTO_FREE char *at_home = mem_printf("%s/.local/state/nairid", f->dir);
    struct settings_input root = { .file = f->file, .environ = nothing, .uid = 0 };

    assert_int_equal(load_env(f, "", all, NULL, 0), 0);
    assert_string_equal(f->s.state_dir, "/run/a");
    assert_string_equal(f->s.workspace_root, "/run/a/jobs");
    assert_int_equal(load_env(f, "", xdg, NULL, 0), 0);
    assert_string_equal(f->s.state_dir, "/xdg/nairid");
    assert_int_equal(load_env(f, "", relative_xdg, NULL, 0), 0);
    assert_string_equal(f->s.state_dir, at_home);
    assert_int_equal(load_env(f, "", nothing, NULL, 0), -EINVAL);
    assert_string_equal(f->err.text, "no place for the state: none of STATE_DIRECTORY, "
                                     "XDG_STATE_HOME and HOME is set; name one with --state DIR");
    assert_int_equal(settings_load(&root, &f->s, &f->err), 0);
    assert_string_equal(f->s.state_dir, "/var/lib/nairid");
    settings_done(&f->s);
    root.environ = all;
    root.state_dir = "/by/flag";
    assert_int_equal(settings_load(&root, &f->s, &f->err), 0);
    assert_string_equal(f->s.state_dir, "/by/flag");
}

static void a_state_directory_has_no_segments_that_say_nothing(void **state)
{
    struct fixture *f = *state;
    const char *const no_home[] = { "HOME=/", NULL };
    const char *const slashes[] = { "HOME=/home//me/./", NULL };
    struct settings_input root = { .file = f->file,
                                   .environ = no_home,
                                   .state_dir = "//by/./flag/" };

    assert_int_equal(load_env(f, "", no_home, NULL, 0), 0);
    assert_string_equal(f->s.workspace_root, "/.local/state/nairid/jobs");
    assert_int_equal(load_env(f, "", slashes, NULL, 0), 0);
    assert_string_equal(f->s.workspace_root, "/home/me/.local/state/nairid/jobs");
    settings_done(&f->s);
    assert_int_equal(settings_load(&root, &f->s, &f->err), 0);
    assert_string_equal(f->s.workspace_root, "/by/flag/jobs");
    settings_done(&f->s);
    root.state_dir = "/./";
    assert_int_equal(settings_load(&root, &f->s, &f->err), 0);
    assert_string_equal(f->s.state_dir, "/");
}

static void a_relative_state_directory_becomes_absolute(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *here = getcwd(NULL, 0);
    AUTO_FREE char *want = mem_printf("%s/st", here);
    const struct settings_input input = { .file = f->file, .state_dir = "st", .uid = 0 };

    write_file(f, "");
    assert_int_equal(settings_load(&input, &f->s, &f->err), 0);
    assert_string_equal(f->s.state_dir, want);
}

static void check_says_what_keeps_the_daemon_from_running(void **state)
{
    struct fixture *f = *state;
#define AGENT   "agent: {id: a}\n"
#define COMMAND "runner: {name: command, argv: [sh]}\n"
    static const struct {
        const char *yaml;
        bool has_place; /* the text begins with FILE: */
        const char *want;
    } cases[] = {
        { COMMAND "sandbox: {network: {mode: none}}\n", false, NULL },
        { AGENT "runner: {name: command}\n", false,
          "runner.argv is required for the runner command: the program and its arguments, such as "
          "[sh] or [/usr/bin/python3, -u, /opt/work.py]" },
        { AGENT "runner: {name: command, argv: []}\n", true,
          "2:25: runner.argv is required for the runner command: the program and its arguments, "
          "such as [sh] or [/usr/bin/python3, -u, /opt/work.py]" },
        { AGENT "runner: {name: command, argv: ['']}\n", true,
          "2:25: runner.argv is required for the runner command: the program and its arguments, "
          "such as [sh] or [/usr/bin/python3, -u, /opt/work.py]" },
        { AGENT "runner: {name: command, program: /bin/sh, argv: [sh]}\n", true,
          "2:25: runner.program has no meaning for the runner command; write the program first in "
          "runner.argv and remove it" },
        { AGENT "runner: {name: command, argv: [sh], env: {A: 1}, secrets: {A: {file: /a}}}\n",
          true, "2:50: runner.secrets: A is in runner.env too; remove one of the two" },
    };
    static const char *const good[] = {
        AGENT "sandbox: {network: {mode: host}}\n", /* the runner checks what it needs */
        AGENT COMMAND,
        AGENT COMMAND "sandbox: {network: {mode: none}}\n",
        AGENT COMMAND "sandbox: {network: {mode: allowlist, allow: ['example.org:443']}}\n",
        AGENT COMMAND "sandbox: {network: {mode: host}}\n",
        AGENT COMMAND "sandbox: {profile: strict}\n",
        AGENT COMMAND "sandbox: {profile: host}\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *want = NULL;

        if (!cases[i].want)
            want = mem_printf("agent.id is required: set it in %s, or the environment variable "
                              "NAIRID_AGENT_ID",
                              f->file);
        else
            want = mem_printf("%s%s%s", cases[i].has_place ? f->file : "",
                              cases[i].has_place ? ":" : "", cases[i].want);
        assert_int_equal(load(f, cases[i].yaml), 0);
        assert_int_equal(settings_check(&f->s, &f->err), -EINVAL);
        assert_string_equal(f->err.text, want);
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(load(f, good[i]), 0);
        assert_int_equal(settings_check(&f->s, &f->err), 0);
    }
}

static bool has_line(const struct buf *b, const char *line)
{
    AUTO_FREE char *whole = mem_printf("\n%s\n", line);

    return strstr(buf_str(b), whole) != NULL;
}

static void printing_names_sources_and_hides_secrets(void **state)
{
    struct fixture *f = *state;
    const char *const env[] = { f->home, "NAIRID_MAX_QUEUED=20", NULL };
    const struct settings_flag flag = { .key = "log.level", .value = "debug", .flag = "--set" };
    AUTO_FREE char *from_file = NULL, *where = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };

    assert_int_equal(load_env(f,
                              "max_concurrency: 2\n"
                              "server: {proxy: 'http://user:hunter2@proxy:3128'}\n"
                              "runner: {env: {TOKEN: hunter3}, secrets: {S: {file: /etc/s}}}\n",
                              env, &flag, 1),
                     0);
    settings_print(&f->s, &b);
    from_file = mem_printf("max_concurrency: 2  # %s:1:1", f->file);
    where = mem_printf("# file: %s\n", f->file);
    assert_int_equal(strncmp(buf_str(&b), where, strlen(where)), 0);
    assert_true(has_line(&b, from_file));
    assert_true(has_line(&b, "max_queued: 20  # environment variable NAIRID_MAX_QUEUED"));
    assert_true(has_line(&b, "log.level: debug  # option --set"));
    assert_true(has_line(&b, "drain_timeout: 5m  # default"));
    assert_non_null(strstr(buf_str(&b), "server.proxy: \"http://[hidden]@proxy:3128\"  # "));
    assert_non_null(strstr(buf_str(&b), "runner.env: {TOKEN: \"[hidden]\"}  # "));
    assert_non_null(strstr(buf_str(&b), "runner.secrets: {S: {file: /etc/s}}  # "));
    assert_null(strstr(buf_str(&b), "hunter"));
}

static void a_struct_made_by_hand_can_be_printed_and_checked(void **state)
{
    struct fixture *f = *state;
    struct settings s = { 0 };
    CLEANUP(buf_done) struct buf b = { 0 };

    settings_print(&s, &b);
    assert_true(has_line(&b, "max_queued: 0  # default"));
    assert_int_equal(settings_check(&s, &f->err), -EINVAL);
    settings_done(&s);
}

static void only_what_needs_a_restart_is_named_after_a_reload(void **state)
{
    struct fixture *f = *state;
    CLEANUP(settings_done) struct settings old = { 0 };
    CLEANUP(strv_done) struct strv keys = { 0 };

    assert_int_equal(load(f, "max_queued: 5\nserver: {url: 'https://a'}\n"), 0);
    old = f->s;
    f->s = (struct settings){ 0 };
    assert_int_equal(load(f, "max_queued: 6\nserver: {url: 'https://b'}\n"
                             "runner: {argv: [x], env: {A: 1}, secrets: {B: {file: /b}}}\n"
                             "workspace: {root: /r}\n"),
                     0);
    settings_unreloadable(&old, &f->s, &keys);
    assert_int_equal(keys.len, 3);
    assert_string_equal(keys.items[0], "server.url");
    assert_string_equal(keys.items[1], "runner.secrets");
    assert_string_equal(keys.items[2], "workspace.root");
    strv_done(&keys);
    settings_unreloadable(&f->s, &f->s, &keys);
    assert_int_equal(keys.len, 0);
}

/* Who names hosts thinks that these and no others can be reached. */
static void hosts_that_change_nothing_are_warned_of(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: no warning */
    } cases[] = {
        { "sandbox:\n  network: {mode: none, allow: [a.test:443]}\n", "reaches nothing" },
        { "sandbox:\n  network: {mode: host, allow: [a.test:443]}\n", "reaches everything" },
        { "sandbox:\n  profile: strict\n  network: {allow: [a.test:443]}\n", "mode: none (" },
        { "sandbox:\n  profile: host\n  network: {allow: [a.test:443]}\n", "mode: host (" },
        { "sandbox:\n  network: {allow: [a.test:443]}\n", NULL },
        { "sandbox:\n  network: {mode: host, allow: []}\n", NULL },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(load(f, cases[i].text), 0);
        assert_int_equal(f->s.warnings.len, cases[i].want ? 1 : 0);
        if (!cases[i].want)
            continue;
        assert_non_null(strstr(f->s.warnings.items[0], cases[i].want));
        assert_non_null(strstr(f->s.warnings.items[0],
                               i < 2 ? "c.yaml:2:25: sandbox.network.allow has no effect"
                                     : "c.yaml:3:13: sandbox.network.allow has no effect"));
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(without_a_file_the_defaults_hold_and_one_job_runs_at_a_time),
        cmocka_unit_test(every_default_is_in_its_own_range),
        CASE(the_file_sets_every_kind_of_value),
        CASE(an_empty_file_counts_as_a_file),
        CASE(unknown_keys_name_the_nearest_valid_one),
        CASE(a_long_unknown_key_is_cut_on_a_character),
        CASE(wrong_types_and_ranges_name_the_place_the_range_and_the_unit),
        CASE(a_key_given_twice_names_both_places),
        CASE(the_agent_key_is_refused_in_the_file_without_being_shown),
        CASE(what_a_later_version_has_is_refused_by_name),
        CASE(a_file_that_is_not_there_or_not_fit_is_refused),
        CASE(the_file_is_searched_for_in_order),
        CASE(environment_goes_over_the_file_and_flags_over_both),
        CASE(the_old_variables_work_and_the_new_ones_win),
        CASE(errors_in_the_environment_and_in_flags_name_them),
        CASE(unknown_variables_and_open_lines_are_warned_of),
        CASE(hosts_that_change_nothing_are_warned_of),
        CASE(the_state_directory_is_found_in_order),
        CASE(a_state_directory_has_no_segments_that_say_nothing),
        CASE(a_relative_state_directory_becomes_absolute),
        CASE(check_says_what_keeps_the_daemon_from_running),
        CASE(printing_names_sources_and_hides_secrets),
        CASE(a_struct_made_by_hand_can_be_printed_and_checked),
        CASE(only_what_needs_a_restart_is_named_after_a_reload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
