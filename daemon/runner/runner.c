#include "runner/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/command.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"

static const struct runner *const runners[] = { &runner_command };

const struct runner *runner_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(runners); i++)
        if (str_eq(runners[i]->name, name))
            return runners[i];
    return NULL;
}

int runner_check(const struct settings *settings, struct err *err)
{
    const struct runner *runner = runner_find(settings->runner_name);

    if (!runner)
        return err_set(err, -EINVAL,
                       "runner.name '%s' is not available in this version; set runner.name: "
                       "command and runner.argv",
                       settings->runner_name);
    return runner->check(settings, err);
}

void runner_start_done(struct runner_start *s)
{
    strv_done(&s->argv);
    strv_done(&s->env);
    strv_done(&s->read);
    free(s->input);
    free(s->brief);
    *s = (struct runner_start){ 0 };
}

void runner_result_done(struct runner_result *r)
{
    free(r->text);
    free(r->error);
    *r = (struct runner_result){ 0 };
}
