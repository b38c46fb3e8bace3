/* A policy: flags and numbers, then a line each of profile, workspace, home, and what is to be
 * read (r), by the runner too (n), written (w), the environment (e), and arguments. Refused with a
 * sentence, or a plan that the spawner takes, in which every mount is asked for. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "sandbox/plan.h"
#include "support/input.h"
#include "support/profiles.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"
#include "util/strv.h"

struct words {
    struct strv read, needs, write, env, argv;
};

static void sort_line(struct words *w, const char *line)
{
    switch (line[0]) {
    case 'r':
        strv_add(&w->read, line + 1);
        break;
    case 'n':
        strv_add(&w->needs, line + 1);
        break;
    case 'w':
        strv_add(&w->write, line + 1);
        break;
    case 'e':
        strv_add(&w->env, line + 1);
        break;
    default:
        strv_add(&w->argv, line);
    }
}

static bool has(const struct strv *v, const char *s)
{
    for (size_t i = 0; i < v->len; i++)
        if (str_eq(v->items[i], s))
            return true;
    return false;
}

/* What may be changed is the job's, or was named. */
static void check_writable(const struct plan *p, const struct plan_policy *policy)
{
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];

        if (s->type != PLAN_STEP_BIND || !(s->flags & PLAN_WRITABLE) || s->flags & PLAN_DEVICE)
            continue;
        FUZZ_CHECK((str_eq(s->text, policy->workspace) && !policy->workspace_read_only) ||
                   str_eq(s->text, policy->home) || has(policy->write, s->text));
    }
}

static void check_plan(const struct plan *p, const struct plan_policy *policy)
{
    CLEANUP(buf_done) struct buf bytes = { 0 }, again = { 0 }, explained = { 0 };
    CLEANUP_PTR(plan_free) struct plan *decoded = NULL;
    struct err err = { 0 };

    check_writable(p, policy);
    plan_encode(p, &bytes);
    FUZZ_CHECK(plan_decode(bytes.data, bytes.len, &decoded, &err) == 0);
    plan_encode(decoded, &again);
    FUZZ_CHECK(bytes.len == again.len && memcmp(bytes.data, again.data, bytes.len) == 0);
    plan_explain(p, &explained);
    FUZZ_CHECK(explained.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    struct words w = { 0 };
    uint8_t flags = input_byte(&in);
    struct plan_policy policy = {
        .network = flags & 1 ? PLAN_NETWORK_HOST : PLAN_NETWORK_NONE,
        .workspace_read_only = flags & 2,
        .uid = flags & 4 ? 0 : 1000,
        .memory_bytes = input_number(&in, 4),
        .task_uid = (uid_t)input_number(&in, 1) << (flags & 8 ? 24 : 0),
        .read = &w.read,
        .runner_read = &w.needs,
        .write = &w.write,
        .origins = { [PLAN_WORD_WRITE] = "file:1:1" },
        .argv = &w.argv,
        .env = &w.env,
    };
    AUTO_FREE char *profile = input_until(&in, '\n');
    AUTO_FREE char *workspace = input_until(&in, '\n');
    AUTO_FREE char *home = input_until(&in, '\n');
    CLEANUP_PTR(plan_free) struct plan *p = NULL;
    struct err err = { 0 };
    int r;

    while (in.left > 0) {
        AUTO_FREE char *line = input_until(&in, '\n');

        sort_line(&w, line);
    }
    policy.profile =
        profiles_get(str_eq(profile, "strict") || str_eq(profile, "host") ? profile : "agent");
    policy.workspace = workspace;
    policy.home = home[0] ? home : NULL;
    r = plan_make(&policy, &p, &err);
    if (r == 0)
        check_plan(p, &policy);
    else
        FUZZ_CHECK(r == -EINVAL && !p && err.text[0]);
    strv_done(&w.read);
    strv_done(&w.needs);
    strv_done(&w.write);
    strv_done(&w.env);
    strv_done(&w.argv);
    return 0;
}
