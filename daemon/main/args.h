/* args.h - the flags that set the daemon, and the settings they give. Shared by the verbs that see
 * the daemon's settings (run, check, config), so that `check` and `config` see what `run` would.
 * The flags of the daemon that we replace are among them: --agent, --model, --repo,
 * --claude-bypass-permissions, -v.
 * Use: a verb's options_spec has .base = &args_spec, and its values struct begins with a struct
 * args. */
#pragma once
#include "main/options.h"

struct err;

struct args {
    const char *file;  /* -c */
    const char *state; /* --state */
    bool version;      /* -v */
    bool as_before;    /* set by the verb: see struct settings_input */
    char *repo;        /* likewise; the verb's to free */
};

extern const struct options_spec args_spec;

/* As options_parse(), and answers -v. values: the struct that begins with a struct args. */
bool args_parse(const struct options_spec *spec, int argc, char **argv, struct args *values,
                struct options *ret_options, int *ret_exit);
/* Settings from file, environment and flags; negative errno with a sentence. */
int args_settings(const struct args *a, const struct options *o, struct settings *ret_settings,
                  struct err *err);
/* As args_settings(), but says why not on stderr. Returns 0 or the exit code (EX_CONFIG). */
int args_load(const struct args *a, const struct options *o, struct settings *ret_settings);
