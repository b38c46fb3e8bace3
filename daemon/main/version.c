#include <stdbool.h>
#include <stdio.h>

#include "main/cmd.h"
#include "main/exitcode.h"
#include "main/options.h"

struct version_args {
    bool json;
};

static const struct options_row rows[] = {
    { .name = "json",
      .type = OPTIONS_SWITCH,
      .offset = offsetof(struct version_args, json),
      .help = "as a JSON object" },
};

static const struct options_spec spec = {
    .verb = "version",
    .usage = "[--json]",
    .summary = "Prints the version of this program.",
    .rows = rows,
    .row_count = 1,
};

int cmd_version(int argc, char **argv)
{
    struct version_args args = { 0 };
    struct options options;
    int code;

    if (!options_parse(&spec, argc, argv, &args, &options, &code))
        return code;
    if (args.json)
        puts("{\"name\":\"nairid\",\"version\":\"" NAIRID_VERSION "\"}");
    else
        puts("nairid " NAIRID_VERSION);
    options_done(&options);
    return EX_OK;
}
