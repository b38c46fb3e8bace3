#include "settings/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "settings/envfile.h"
#include "settings/settings.h"
#include "settings/variables.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

static void lay_over(struct overlay *o, const char *const *env)
{
    size_t count = 0, at = 0;

    for (size_t i = 0; i < o->dotenv.len; i++) {
        const struct dotenv_entry *e = &o->dotenv.items[i];
        AUTO_FREE char *pair = mem_printf("%s=%s", e->name, e->value);

        if (variables_are_ours(e->name) && !str_ends_with(e->name, "_API_KEY"))
            strv_add(&o->pairs, pair);
        secret_wipe(pair, strlen(pair));
    }
    while (env && env[count])
        count++;
    o->environ = mem_calloc(o->pairs.len + count + 1, sizeof *o->environ);
    for (; at < o->pairs.len; at++)
        o->environ[at] = o->pairs.items[at];
    for (size_t i = 0; i < count; i++)
        o->environ[at++] = env[i];
}

int overlay_read(const char *const *env, struct settings *s, struct overlay *ret_overlay,
                 struct err *err)
{
    AUTO_FREE char *dir = envfile_dir(env);
    int r = 0;

    *ret_overlay = (struct overlay){ 0 };
    if (dir) {
        s->env_file = mem_printf("%s/.env", dir);
        r = envfile_read(s->env_file, &ret_overlay->dotenv, err);
    }
    for (size_t i = 0; i < ret_overlay->dotenv.faults.len; i++)
        strv_add(&s->warnings, ret_overlay->dotenv.faults.items[i]);
    lay_over(ret_overlay, env);
    return r;
}

const struct dotenv_entry *overlay_find(const struct overlay *o, const char *name,
                                        const char *value)
{
    for (size_t i = 0; i < o->pairs.len; i++)
        if (value > o->pairs.items[i] && value <= strchr(o->pairs.items[i], '\0'))
            return dotenv_find(&o->dotenv, name);
    return NULL;
}

void overlay_done(struct overlay *o)
{
    for (size_t i = 0; i < o->pairs.len; i++)
        secret_wipe(o->pairs.items[i], strlen(o->pairs.items[i]));
    strv_done(&o->pairs);
    dotenv_done(&o->dotenv);
    free(o->environ);
    o->environ = NULL;
}
