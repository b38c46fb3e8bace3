/* envfile.h - the ".env" of the present daemon's directory, and where that directory is.
 * It lies over the process environment, as it does there: what sets the daemon sets this one, the
 * agent key in it counts before the environment's, and the rest is for the runner's environment.
 * It holds secrets: what is read is wiped, and a symbolic link, a file that isn't a regular one,
 * another user's, or one that anybody may write is refused. */
#pragma once
#include "settings/dotenv.h"
#include "settings/settings.h"
#include <stdbool.h>

struct err;
struct secret;

/* NAIRI_CONFIG_DIR, EKSEC_CONFIG_DIR, or $HOME/.config/eksecd; "~/" at the beginning is $HOME. NULL
 * where there is none, as where the variable names no absolute path: the directory needn't be
 * there. To be freed. */
char *envfile_dir(const char *const *env);
/* "DIR/.env" into *ret_dotenv, with a fault for it if others may read it. 0 with an empty one where
 * it isn't there; -ELOOP, -EPERM, -EINVAL or what the system said, with a sentence. */
int envfile_read(const char *path, struct dotenv *ret_dotenv, struct err *err);
/* The agent key in it, or *ret_key NULL; ret_name: the variable, static. */
int envfile_key(const char *path, struct secret **ret_key, const char **ret_name, struct err *err);

/* For settings.c: the variables that are none of the daemon's into runner.env, over what it has;
 * what runner.secrets has keeps its place there. */
void envfile_merge(struct settings *s, const struct dotenv *d);
/* Before the spawner is forked: runner.env without what came from the file, whose names stay. */
void envfile_hide(struct settings *s);
/* After it: what envfile_hide() took, read again. */
int envfile_show(struct settings *s, struct err *err);
