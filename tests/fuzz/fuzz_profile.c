/* A profile's file: refused with a sentence that says where, or a profile of which plans can be
 * made, whatever it shows. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "sandbox/plan.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/strv.h"

static void check_paths(const struct profile_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        FUZZ_CHECK(profile_path_is_plain(list->items[i].name) && list->items[i].line > 0);
}

static void check_plan(const struct profile *p)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    CLEANUP(buf_done) struct buf bytes = { 0 }, words = { 0 };
    CLEANUP_PTR(plan_free) struct plan *plan = NULL, *back = NULL;
    const struct plan_policy policy = {
        .profile = p, .workspace = "/srv/w", .argv = &argv, .uid = 1000
    };
    struct err err = { 0 };
    int r;

    strv_add(&argv, "sh");
    r = plan_make(&policy, &plan, &err);
    if (r < 0) { /* too many steps, too large an environment */
        FUZZ_CHECK(r == -EINVAL && err.text[0]);
        return;
    }
    plan_explain(plan, &words);
    plan_encode(plan, &bytes);
    FUZZ_CHECK(plan_decode(bytes.data, bytes.len, &back, &err) == 0);
    for (size_t i = 0; i < plan->step_count; i++)
        FUZZ_CHECK(*plan_origin(plan, plan->steps[i].origin));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(profile_free) struct profile *p = NULL;
    struct err err = { 0 };
    int r = profile_parse("file", "fuzzed", (const char *)data, size, &p, &err);

    if (r < 0) {
        FUZZ_CHECK((r == -EINVAL || r == -EMSGSIZE) && !p && strncmp(err.text, "file:", 5) == 0);
        return 0;
    }
    FUZZ_CHECK(p->calls <= PROFILE_CALLS_ALL && p->network);
    check_paths(&p->paths);
    check_paths(&p->devices);
    check_paths(&p->links);
    check_paths(&p->files);
    check_plan(p);
    return 0;
}
