#include "sandbox/plan_origin.h"

#include <stdarg.h>
#include <stdio.h>

#include "settings/profile.h"
#include "util/buf.h"
#include "util/mem.h"
#include "util/strv.h"

/* clang-format off */
static const char *const words[] = {
    [PLAN_WORD_PROFILE] = "sandbox.profile",
    [PLAN_WORD_NETWORK] = "sandbox.network.mode",
    [PLAN_WORD_ALLOW] = "sandbox.network.allow",
    [PLAN_WORD_BROKER] = "broker",
    [PLAN_WORD_PROXY] = "server.proxy",
    [PLAN_WORD_READ] = "sandbox.read",
    [PLAN_WORD_WRITE] = "sandbox.write",
    [PLAN_WORD_MEMORY] = "sandbox.limits.memory",
    [PLAN_WORD_DISK] = "sandbox.limits.disk",
    [PLAN_WORD_PIDS] = "sandbox.limits.pids",
    [PLAN_WORD_FILES] = "sandbox.limits.files",
    [PLAN_WORD_CPU] = "sandbox.limits.cpu",
    [PLAN_WORD_CPU_TIME] = "sandbox.limits.cpu_time",
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(words) == PLAN_WORD_COUNT, "a key for each word");

const char *plan_word_key(enum plan_word word)
{
    return words[word];
}

const char *plan_origin(const struct plan *p, uint32_t origin)
{
    return origin < p->origins.len ? p->origins.items[origin] : "";
}

uint32_t plan_origin_add(struct plan *p, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut where it is too long */
    va_end(ap);
    strv_add(&p->origins, text);
    return (uint32_t)p->origins.len - 1;
}

uint32_t plan_origin_profile(struct plan *p, const struct plan_policy *policy, unsigned line)
{
    return plan_origin_add(p, "profile %s, line %u", policy->profile->name, line);
}

void plan_origin_begin(struct plan *p, const struct plan_policy *policy)
{
    strv_add(&p->origins, "");
    strv_add(&p->origins, "every task");
    for (size_t i = 0; i < PLAN_WORD_COUNT; i++) {
        const char *place = policy->origins[i];

        if (place)
            p->word_origins[i] = plan_origin_add(p, "%s, %s", words[i], place);
        else if (i == PLAN_WORD_NETWORK)
            p->word_origins[i] = plan_origin_profile(p, policy, policy->profile->network_line);
        else
            p->word_origins[i] = plan_origin_add(p, "%s, default", words[i]);
    }
}
