#include "sandbox/plan_shared.h"

#include <string.h>

#include "sandbox/plan.h"
#include "sandbox/plan_paths.h"
#include "util/mem.h"
#include "util/str.h"

/* Whether one of the first steps shows what lies where the job may write: only with the job known
 * it can be told what of its path a task may have made (sandbox/firm.h). */
static bool is_amid_job(const struct plan *p, size_t first)
{
    for (size_t i = 0; i < first; i++) {
        if (p->steps[i].type != PLAN_STEP_BIND)
            continue;
        for (size_t k = first; k < p->step_count; k++)
            if (p->steps[k].type == PLAN_STEP_BIND && (p->steps[k].flags & PLAN_WRITABLE) &&
                (plan_paths_is_within(p->steps[i].text, p->steps[k].text) ||
                 plan_paths_is_within(p->steps[i].target, p->steps[k].target)))
                return true;
    }
    return false;
}

/* plan_paths_add() puts what is the job's behind all else. */
static size_t shared_steps(const struct plan *p)
{
    size_t i = 0;

    if (p->ground.rung != PLAN_RUNG_TOP || plan_is_ours(p))
        return 0;
    while (i < p->step_count && !str_eq(p->steps[i].target, PLAN_HOME) &&
           !str_eq(p->steps[i].target, PLAN_WORKSPACE) && !str_eq(p->steps[i].target, PLAN_BRIEF))
        i++;
    return is_amid_job(p, i) ? 0 : i;
}

/* Whether what a rule is about is there once the first steps are carried out, and isn't covered by
 * one of the others. */
static bool is_shared_rule(const struct plan *p, size_t steps, const struct plan_rule *rule)
{
    for (size_t i = steps; i < p->step_count; i++)
        if (plan_paths_is_within(rule->path, p->steps[i].target))
            return false;
    return steps > 0;
}

static bool is_same_rule(const struct plan_rule *a, const struct plan_rule *b)
{
    return a->rights == b->rights && str_eq(a->path, b->path);
}

/* The same rules in the same order. */
static bool has_rules_of(const struct plan *shared, const struct plan *p)
{
    size_t at = 0;

    for (size_t i = 0; i < p->rule_count; i++) {
        if (!is_shared_rule(p, shared->step_count, &p->rules[i]))
            continue;
        if (at == shared->rule_count || !is_same_rule(&shared->rules[at], &p->rules[i]))
            return false;
        at++;
    }
    return at == shared->rule_count;
}

bool plan_shared_has_rule(const struct plan *shared, const struct plan_rule *rule, size_t *at)
{
    if (*at == shared->rule_count || !is_same_rule(&shared->rules[*at], rule))
        return false;
    (*at)++;
    return true;
}

static struct plan *make(const struct plan *p, size_t count)
{
    struct plan *shared = mem_new(struct plan);

    shared->ground = p->ground;
    shared->network = p->network == PLAN_NETWORK_HOST ? PLAN_NETWORK_HOST : PLAN_NETWORK_NONE;
    shared->as_root = p->as_root;
    shared->calls = count > 0 ? p->calls : 0;
    shared->outer_uid = p->as_root && count == 0 ? 0 : p->outer_uid;
    shared->steps = mem_calloc(count + 1, sizeof shared->steps[0]);
    for (size_t i = 0; i < count; i++) {
        shared->steps[i] = p->steps[i];
        shared->steps[i].target = mem_strdup(p->steps[i].target);
        shared->steps[i].text = mem_strdup(p->steps[i].text);
    }
    shared->step_count = count;
    shared->rules = mem_calloc(p->rule_count + 1, sizeof shared->rules[0]);
    for (size_t i = 0; i < p->rule_count; i++) {
        if (!is_shared_rule(p, count, &p->rules[i]))
            continue;
        shared->rules[shared->rule_count] = p->rules[i];
        shared->rules[shared->rule_count++].path = mem_strdup(p->rules[i].path);
    }
    return shared;
}

struct plan *plan_shared_of(const struct plan *p)
{
    size_t count = shared_steps(p);

    return count == 0 ? NULL : make(p, count);
}

struct plan *plan_shared_least(const struct plan *p)
{
    /* as another user a survey needs little, which its own plan makes as fast */
    return p->ground.rung == PLAN_RUNG_BARE || !p->as_root ? NULL : make(p, 0);
}

static bool is_same_step(const struct plan_step *a, const struct plan_step *b)
{
    return a->type == b->type && a->flags == b->flags && a->mode == b->mode &&
           a->size_bytes == b->size_bytes && str_eq(a->target, b->target) &&
           str_eq(a->text, b->text);
}

bool plan_shared_fits(const struct plan *shared, const struct plan *p)
{
    if (shared->ground.rung != p->ground.rung || shared->ground.host_proc != p->ground.host_proc ||
        shared->ground.without_landlock != p->ground.without_landlock ||
        shared->as_root != p->as_root ||
        (shared->network == PLAN_NETWORK_HOST) != (p->network == PLAN_NETWORK_HOST) ||
        (!p->as_root && shared->outer_uid != p->outer_uid) ||
        (shared->step_count > 0 &&
         (shared->calls != p->calls || shared->step_count != shared_steps(p))))
        return false;
    for (size_t i = 0; i < shared->step_count; i++)
        if (!is_same_step(&shared->steps[i], &p->steps[i]))
            return false;
    return has_rules_of(shared, p);
}
