#include "main/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/cleanup.h"

struct values {
    const char *file, *job;
    bool json;
};

static const struct options_row shared[] = {
    { .name = "config",
      .letter = 'c',
      .type = OPTIONS_TEXT,
      .argument = "FILE",
      .offset = offsetof(struct values, file),
      .help = "settings" },
    { .name = "set", .type = OPTIONS_PAIR, .argument = "KEY=VALUE", .help = "one setting" },
    { .name = "agent",
      .type = OPTIONS_SETTING,
      .argument = "NAME",
      .key = "runner.name",
      .help = "runner" },
    { .name = "bypass",
      .type = OPTIONS_SETTING,
      .key = "runner.permissions",
      .value = "bypass",
      .help = "permissions" },
};
static const struct options_spec base = { .rows = shared, .row_count = ARRAY_SIZE(shared) };

static const struct options_row rows[] = {
    { .name = "job",
      .type = OPTIONS_TEXT,
      .argument = "ID",
      .offset = offsetof(struct values, job),
      .help = "conversation" },
    { .name = "json",
      .type = OPTIONS_SWITCH,
      .offset = offsetof(struct values, json),
      .help = "as JSON" },
};
static const struct options_spec spec = {
    .verb = "verb",
    .usage = "[FLAGS] WORD",
    .summary = "Does it.",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
    .base = &base,
    .operands_max = 1,
};

/* The answer of one command line, with what it printed in text. */
struct answer {
    struct values values;
    struct options options;
    bool carries_on;
    int code;
    char out[2048], err[2048];
};

static void read_back(FILE *file, int fd, int saved, char *text, size_t size)
{
    fflush(file);
    rewind(file);
    dup2(saved, fd);
    close(saved);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static struct answer parse_with(const struct options_spec *s, char **argv)
{
    struct answer a = { .code = -1 };
    FILE *out = tmpfile(), *err = tmpfile();
    int saved_out = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO), argc = 0;

    while (argv[argc])
        argc++;
    fflush(stdout);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    a.carries_on = options_parse(s, argc, argv, &a.values, &a.options, &a.code);
    fflush(stdout);
    fflush(stderr);
    read_back(out, STDOUT_FILENO, saved_out, a.out, sizeof a.out);
    read_back(err, STDERR_FILENO, saved_err, a.err, sizeof a.err);
    return a;
}

#define PARSE(...) parse_with(&spec, (char *[]){ (char[]){ "verb" }, __VA_ARGS__, NULL })
#define WORD(text) ((char[]){ text })

static void flags_fill_the_struct_and_may_follow_operands(void **state)
{
    struct answer a = PARSE(WORD("word"), WORD("--job"), WORD("job_1"), WORD("--json"), WORD("-c"),
                            WORD("a.yaml"), WORD("--config=b.yaml"));

    (void)state;
    assert_true(a.carries_on);
    assert_string_equal(a.values.job, "job_1");
    assert_string_equal(a.values.file, "b.yaml");
    assert_true(a.values.json);
    assert_int_equal(a.options.operand_count, 1);
    assert_string_equal(a.options.operands[0], "word");
    options_done(&a.options);
}

static void settings_flags_keep_their_order_key_value_and_spelling(void **state)
{
    struct answer a = PARSE(WORD("--agent"), WORD("codex"), WORD("--set"), WORD("a.b=c=d"),
                            WORD("--bypass"), WORD("--set=x="));

    (void)state;
    assert_true(a.carries_on);
    assert_int_equal(a.options.flag_count, 4);
    assert_string_equal(a.options.flags[0].key, "runner.name");
    assert_string_equal(a.options.flags[0].value, "codex");
    assert_string_equal(a.options.flags[0].flag, "--agent");
    assert_string_equal(a.options.flags[1].key, "a.b");
    assert_string_equal(a.options.flags[1].value, "c=d");
    assert_string_equal(a.options.flags[2].key, "runner.permissions");
    assert_string_equal(a.options.flags[2].value, "bypass");
    assert_string_equal(a.options.flags[3].key, "x");
    assert_string_equal(a.options.flags[3].value, "");
    options_done(&a.options);
}

static void what_is_wrong_is_named_with_the_nearest_flag(void **state)
{
    static const struct {
        const char *word;
        const char *says;
    } cases[] = {
        { "--jsn", "unknown flag '--jsn', did you mean '--json'?" },
        { "--confg=x", "unknown flag '--confg', did you mean '--config'?" },
        { "--zzzzzzzzz", "unknown flag '--zzzzzzzzz'." },
        { "--byp", "did you mean '--bypass'?" },
        { "--conf=x", "did you mean '--config'?" },
        { "-x", "unknown flag '-x'." },
        { "--job", "'--job' needs an argument: ID." },
        { "-c", "'--config' needs an argument: FILE." },
        { "--json=1", "'--json' takes no argument." },
        { "--set=nothing", "'--set nothing': want KEY=VALUE." },
        { "--set==x", "'--set =x': want KEY=VALUE." },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char word[64];
        struct answer a;

        snprintf(word, sizeof word, "%s", cases[i].word);
        a = PARSE(word);
        assert_false(a.carries_on);
        assert_int_equal(a.code, EX_USAGE);
        if (!strstr(a.err, cases[i].says))
            fail_msg("%s: '%s' lacks '%s'", word, a.err, cases[i].says);
        assert_non_null(strstr(a.err, "See 'nairid verb --help'."));
        assert_string_equal(a.out, "");
    }
}

static void an_argument_apart_may_look_like_anything(void **state)
{
    struct answer a = PARSE(WORD("--job"), WORD("--json"), WORD("-c"), WORD("--j"), WORD("--agent"),
                            WORD("x=y"), WORD("--json"));

    (void)state;
    assert_true(a.carries_on);
    assert_string_equal(a.values.job, "--json");
    assert_string_equal(a.values.file, "--j");
    assert_string_equal(a.options.flags[0].value, "x=y");
    options_done(&a.options);
}

static void too_many_and_too_few_operands_are_refused(void **state)
{
    struct options_spec hungry = spec;
    struct answer a = PARSE(WORD("one"), WORD("two"));

    (void)state;
    assert_int_equal(a.code, EX_USAGE);
    assert_non_null(strstr(a.err, "'two'"));
    hungry.operands_min = 1;
    a = parse_with(&hungry, (char *[]){ WORD("verb"), NULL });
    assert_int_equal(a.code, EX_USAGE);
}

static void help_lists_every_flag_and_exits_with_0(void **state)
{
    struct answer a = PARSE(WORD("--json"), WORD("--help"), WORD("--nonsense"));

    (void)state;
    assert_false(a.carries_on);
    assert_int_equal(a.code, 0);
    assert_string_equal(a.err, "");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_non_null(strstr(a.out, rows[i].name));
    for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
        assert_non_null(strstr(a.out, shared[i].name));
    assert_non_null(strstr(a.out, "  -c, --config FILE    settings\n"));
    assert_non_null(strstr(a.out, "  -h, --help "));
}

static void a_verb_that_stops_at_its_operand_leaves_the_rest_alone(void **state)
{
    struct options_spec stops = spec;
    struct answer a;

    (void)state;
    stops.stops_at_operand = true;
    stops.operands_max = SIZE_MAX;
    a = parse_with(&stops, (char *[]){ WORD("verb"), WORD("--json"), WORD("sh"), WORD("-c"),
                                       WORD("--job"), NULL });
    assert_true(a.carries_on);
    assert_true(a.values.json);
    assert_null(a.values.file);
    assert_int_equal(a.options.operand_count, 3);
    assert_string_equal(a.options.operands[1], "-c");
    options_done(&a.options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_fill_the_struct_and_may_follow_operands),
        cmocka_unit_test(settings_flags_keep_their_order_key_value_and_spelling),
        cmocka_unit_test(what_is_wrong_is_named_with_the_nearest_flag),
        cmocka_unit_test(an_argument_apart_may_look_like_anything),
        cmocka_unit_test(too_many_and_too_few_operands_are_refused),
        cmocka_unit_test(help_lists_every_flag_and_exits_with_0),
        cmocka_unit_test(a_verb_that_stops_at_its_operand_leaves_the_rest_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
