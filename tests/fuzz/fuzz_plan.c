/* An encoded plan, as the spawner gets it: refused with a sentence, or one that keeps its promises
 * and is encoded to the same bytes again. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "sandbox/apply.h"
#include "sandbox/plan.h"
#include "settings/allow.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

static void check_steps(const struct plan *p)
{
    FUZZ_CHECK(p->step_count <= PLAN_STEPS_MAX && p->rule_count <= PLAN_RULES_MAX);
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];
        char text[64];

        FUZZ_CHECK(s->type < PLAN_STEP_TYPE_COUNT && (s->flags & ~(unsigned)PLAN_FLAGS_ALL) == 0);
        FUZZ_CHECK(plan_path_is_plain(s->target) && !strstr(s->target, "/../"));
        FUZZ_CHECK(s->type != PLAN_STEP_BIND || plan_path_is_plain(s->text));
        plan_step_describe(s, text, sizeof text);
        FUZZ_CHECK(text[0] && strlen(text) < sizeof text);
    }
    FUZZ_CHECK(p->host_count <= PLAN_HOSTS_MAX);
    for (size_t i = 0; i < p->host_count; i++) {
        struct allow a;

        FUZZ_CHECK(allow_parse(p->hosts[i].text, &a, NULL) == 0);
    }
    for (size_t i = 0; i < p->rule_count; i++)
        FUZZ_CHECK(p->rules[i].path[0] == '/' &&
                   (p->rules[i].rights & ~(unsigned)PLAN_RIGHTS_ALL) == 0);
}

static void check_reports(const struct plan *p)
{
    for (uint32_t stage = 0; stage <= APPLY_STAGE_COUNT; stage++) {
        const struct apply_report report = {
            .kind = APPLY_FAILED, .stage = stage, .index = stage % 3, .error = -ENOENT
        };
        char text[ERR_TEXT_MAX];

        apply_describe(p, &report, text, sizeof text);
        FUZZ_CHECK(text[0] && strlen(text) < sizeof text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(plan_free) struct plan *p = NULL;
    CLEANUP(buf_done) struct buf bytes = { 0 }, words = { 0 };
    struct err err = { 0 };
    int r = plan_decode(data, size, &p, &err);

    if (r < 0) {
        FUZZ_CHECK(r == -EINVAL && !p && err.text[0]);
        return 0;
    }
    FUZZ_CHECK(p->calls <= PROFILE_CALLS_ALL && p->outer_uid != 0);
    FUZZ_CHECK(p->programs.len > 0 && p->argv.len > 0);
    check_steps(p);
    check_reports(p);
    plan_explain(p, &words);
    FUZZ_CHECK(words.len > 0);
    plan_encode(p, &bytes);
    FUZZ_CHECK(bytes.len == size && memcmp(bytes.data, data, size) == 0);
    return 0;
}
