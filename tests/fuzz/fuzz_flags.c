/* The environment, up to an empty line, and the words of a command line, a line each: settings, or
 * a sentence on standard error and an exit code. What is printed of the settings is taken again. */
#include "support/replay.h"

#include <string.h>

#include "main/args.h"
#include "main/cmd.h"
#include "main/exitcode.h"
#include "settings/assignment.h"
#include "settings/document.h"
#include "settings/field.h"
#include "settings/table.h"
#include "support/input.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/strv.h"

static const struct options_spec spec = {
    .verb = "run", .usage = "", .summary = "Runs.", .base = &args_spec
};

/* args.c answers -v with it. */
int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return EX_OK;
}

static void take_lines(struct input *in, struct strv *v)
{
    while (in->left > 0) {
        AUTO_FREE char *line = input_until(in, '\n');

        if (!line[0])
            return;
        strv_add(v, line);
    }
}

/* What stdio's standard error gets is of no interest, and there is much of it. */
static void be_quiet(void)
{
    static FILE *nowhere;

    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    FUZZ_CHECK(nowhere != NULL);
    stdout = stderr = nowhere;
}

/* As `nairid config` prints it, and as the file has it. */
static void check_row(const struct settings *s, const struct table_row *row)
{
    CLEANUP_PTR(document_free) struct document_node *root = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    struct settings again = { 0 };

    buf_append_str(&b, "key: ");
    field_print(s, row, &b);
    buf_append_char(&b, '\n');
    FUZZ_CHECK(document_parse("again", b.data, b.len, &root, NULL) == 0);
    FUZZ_CHECK(root && root->first && !root->first->next);
    if (strstr(b.data, "[hidden]") || strstr(b.data, "\\ufffd"))
        return;
    if (assignment_node(&again, row, "again", root->first, NULL) == 0)
        FUZZ_CHECK(field_equals(s, &again, row));
    else
        FUZZ_CHECK(strcmp(b.data, "key: \"\"\n") == 0); /* unset */
    field_done(&again, row);
}

static void check_settings(const struct args *args, const struct options *o)
{
    struct settings s;
    struct err err = { 0 };
    int r = args_settings(args, o, &s, &err);

    if (r < 0) {
        FUZZ_CHECK(r == err.code && err.text[0] && !strchr(err.text, '\n'));
        return;
    }
    FUZZ_CHECK(s.max_concurrency >= 1 && s.sandbox_network_mode && s.workspace_root);
    FUZZ_CHECK(s.state_dir && s.state_dir[0] == '/');
    for (size_t i = 0; i < table_len(); i++)
        check_row(&s, table_row(i));
    (void)settings_check(&s, &err);
    settings_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *nothing[] = { NULL };
    CLEANUP(strv_done) struct strv env = { 0 }, argv = { 0 };
    char **environ_before = environ;
    struct input in = { data, size };
    struct args args = { 0 };
    struct options o;
    int code = -1;

    take_lines(&in, &env);
    strv_add(&argv, "run");
    take_lines(&in, &argv);
    be_quiet();
    environ = env.items ? env.items : nothing;
    if (args_parse(&spec, (int)argv.len, argv.items, &args, &o, &code)) {
        check_settings(&args, &o);
        options_done(&o);
    } else {
        FUZZ_CHECK(code == EX_OK || code == EX_USAGE);
    }
    environ = environ_before;
    return 0;
}
