/* overlay.h - the environment as settings_load() reads it: the present daemon's ".env" over that of
 * the process. For settings.c. */
#pragma once
#include "settings/dotenv.h"

struct err;
struct settings;

/* { 0 } is an empty one, without an environ. */
struct overlay {
    struct dotenv dotenv;
    struct strv pairs;    /* of it what sets the daemon but for keys, as NAME=value */
    const char **environ; /* those, and then env's */
};

/* Names the file in s->env_file, and what is wrong in it in s->warnings. env must outlive it. Of
 * envfile_read(); *ret_overlay is there in any case. */
int overlay_read(const char *const *env, struct settings *s, struct overlay *ret_overlay,
                 struct err *err);
/* The line that value of the variable name, found in o->environ, stands in; NULL where it is the
 * process environment's. */
const struct dotenv_entry *overlay_find(const struct overlay *o, const char *name,
                                        const char *value);
void overlay_done(struct overlay *o); /* wipes it */
