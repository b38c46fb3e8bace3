#include "sandbox/plan_bare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/plan.h"
#include "sandbox/plan_origin.h"
#include "sandbox/plan_paths.h"
#include "sandbox/scratch.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

/* ---- rules in place of mounts ---- */

static bool is_below_etc(const char *path)
{
    return str_starts_with(path, "/etc/");
}

static uint32_t rights_of(const struct plan_step *s)
{
    const uint32_t read = PLAN_MAY_LIST | PLAN_MAY_READ;

    if (s->flags & PLAN_DEVICE)
        return PLAN_MAY_READ | PLAN_MAY_WRITE;
    if (s->flags & PLAN_WRITABLE)
        return s->flags & PLAN_NOEXEC ? PLAN_RIGHTS_ALL & ~(uint32_t)PLAN_MAY_EXECUTE
                                      : PLAN_RIGHTS_ALL;
    return is_below_etc(s->text) || s->flags & PLAN_NOEXEC ? read : read | PLAN_MAY_EXECUTE;
}

/* Nothing on "/", "/etc" or "/dev": a rule holds for all that is beneath. */
static void add_rules(struct plan *p)
{
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];

        switch (s->type) {
        case PLAN_STEP_BIND:
            if (!str_eq(s->text, "/dev/tty")) /* it may be another's: ours is taken away */
                plan_paths_allow(p, s->text, rights_of(s), s->origin);
            break;
        case PLAN_STEP_FILE: /* the host's own instead, such as /etc/passwd */
            if (!str_eq(s->target, PLAN_BRIEF))
                plan_paths_allow(p, s->target, PLAN_MAY_READ, s->origin);
            break;
        case PLAN_STEP_PROC:
            plan_paths_allow(p, s->target, PLAN_MAY_LIST | PLAN_MAY_READ, s->origin);
            break;
        case PLAN_STEP_DIR:
        case PLAN_STEP_LINK:
        case PLAN_STEP_TMPFS:
        case PLAN_STEP_DEVPTS:
        case PLAN_STEP_TYPE_COUNT:
            break;
        }
    }
    plan_paths_allow(p, p->scratch, PLAN_RIGHTS_ALL, PLAN_ORIGIN_EVERY_TASK);
}

/* ---- paths of the sandbox become the host's ---- */

struct place {
    const char *inside;
    const char *outside;
};

/* NULL: it is at another place, and stays as it is. */
static char *move_path(const struct place *place, const char *path)
{
    size_t len = strlen(place->inside);

    if (strncmp(path, place->inside, len) != 0 || (path[len] != '\0' && path[len] != '/'))
        return NULL;
    return mem_printf("%s%s", place->outside, path + len);
}

static void move_paths(const struct place *places, size_t count, struct strv *words, bool are_pairs)
{
    for (size_t i = 0; i < words->len; i++) {
        char *word = words->items[i];
        /* an option may have its value joined */
        const char *equals = are_pairs || str_starts_with(word, "--") ? strchr(word, '=') : NULL;
        const char *path = equals ? equals + 1 : word;

        for (size_t k = 0; k < count; k++) {
            AUTO_FREE char *moved = move_path(&places[k], path);

            if (!moved)
                continue;
            words->items[i] = mem_printf("%.*s%s", (int)(path - word), word, moved);
            secret_wipe(word, strlen(word)); /* whatever it was */
            free(word);
            break;
        }
    }
}

static void move_program(struct plan *p, const struct plan_policy *policy)
{
    AUTO_FREE char *home = policy->home ? mem_strdup(policy->home)
                                        : mem_printf("%s/" SCRATCH_HOME, p->scratch),
                   *brief = mem_printf("%s/" SCRATCH_BRIEF, p->scratch),
                   *tmp = mem_printf("%s/" SCRATCH_TMP, p->scratch);
    const struct place places[] = { { PLAN_WORKSPACE, policy->workspace },
                                    { PLAN_HOME, home },
                                    { PLAN_BRIEF, brief },
                                    { "/tmp", tmp } };
    const size_t but_tmp = ARRAY_SIZE(places) - 1; /* which the host has, if nothing for a task */

    for (size_t i = 0; i < policy->shown_count; i++) {
        const struct place shown = { policy->shown[i].inside, policy->shown[i].outside };
        AUTO_FREE char *at = move_path(&places[1], shown.inside);

        if (at) { /* in the home there is a link for it */
            strv_add(&p->links, at);
            strv_add(&p->links, shown.outside ? shown.outside : "");
        } else if (shown.outside) { /* arguments are for all to read, and where it is isn't */
            AUTO_FREE char *link = mem_printf("%s%s", p->scratch, strrchr(shown.inside, '/'));
            const struct place linked = { shown.inside, link };

            strv_add(&p->links, link);
            strv_add(&p->links, shown.outside);
            move_paths(&linked, 1, &p->argv, false);
            move_paths(&linked, 1, &p->env, true);
        }
    }

    move_paths(places, but_tmp, &p->programs, false);
    move_paths(places, but_tmp, &p->argv, false);
    move_paths(places, ARRAY_SIZE(places), &p->env, true);
}

/* ---- the whole ---- */

static void drop_steps(struct plan *p)
{
    for (size_t i = 0; i < p->step_count; i++) {
        if (p->steps[i].type == PLAN_STEP_FILE && str_eq(p->steps[i].target, PLAN_BRIEF)) {
            free(p->brief);
            p->brief = TAKE_PTR(p->steps[i].text);
        }
        free(p->steps[i].target);
        free(p->steps[i].text);
    }
    p->step_count = 0;
}

static void drop_rules(struct plan *p)
{
    for (size_t i = 0; i < p->rule_count; i++)
        free(p->rules[i].path);
    p->rule_count = 0;
}

bool plan_bare_owns(uid_t uid)
{
    return uid >= PLAN_OWN_UID_MIN && uid <= PLAN_OWN_UID_MAX && uid != PLAN_KILLER_UID &&
           uid != PLAN_EGRESS_UID;
}

int plan_bare_convert(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    if (plan_has_egress(p))
        return err_set(
            err, -EINVAL, "%s: it takes a network namespace, which this machine doesn't give%s",
            p->network == PLAN_NETWORK_ALLOWLIST ? "sandbox.network.mode allowlist" : "broker",
            p->network == PLAN_NETWORK_ALLOWLIST
                ? ": set it to none, or to host, with which nothing is held back"
                : "");
    if (p->as_root && !plan_bare_owns(p->outer_uid))
        return err_set(err, -EINVAL,
                       "user %u can't be a task's here: without namespaces all processes of a "
                       "task's user end with it, so it must be one of %u to %u, which no account "
                       "has: give its directory to one of them",
                       (unsigned)p->outer_uid, (unsigned)PLAN_OWN_UID_MIN,
                       (unsigned)PLAN_OWN_UID_MAX);
    if (!policy->home && !policy->scratch)
        return err_set(err, -EINVAL, "without namespaces a task needs a directory of its own");
    free(p->directory);
    p->directory = mem_strdup(policy->workspace);
    free(p->scratch);
    p->scratch = policy->scratch ? mem_strdup(policy->scratch)
                                 : mem_printf("%s/" PLAN_BARE_SCRATCH, policy->home);
    if (!plan_path_is_plain(p->scratch))
        return err_set(err, -EINVAL, "'%s' can't be a task's own directory", p->scratch);
    drop_rules(p);
    add_rules(p);
    drop_steps(p);
    move_program(p, policy);
    p->ground.host_proc = true;
    p->ground.without_landlock = false;
    return 0;
}
