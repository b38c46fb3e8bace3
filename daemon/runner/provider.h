/* provider.h - the models' APIs that a runner's program works with, and how their keys stay out of
 * tasks: a table for each runner, the rest is the same for all. Pure.
 * To add an API to a runner: an entry of `known` in settings/broker.c, which says where the API is
 * and what of it tasks may ask, and a struct provider that names it, with the variables that its
 * key may come in. Its key is then brokered by default; prepare gives the program
 * provider_address() as the API's address and PROVIDER_PLACEHOLDER in the key's place, where
 * provider_is_brokered(). What can't be brokered is a struct provider_login, with the sentence that
 * 'nairid check' says about it. */
#pragma once
#include "settings/settings.h"
#include <stdbool.h>
#include <stddef.h>

struct err;
struct strv;

/* What a task has in the place of a key: not a secret. */
#define PROVIDER_PLACEHOLDER "the-broker-has-it"

enum { PROVIDER_KEYS_MAX = 4 };

/* A key that never changes and stands in one field of each request: a broker can have it. */
struct provider_key {
    const char *variable;        /* of runner.secrets, runner.env or what the server provides */
    const char *header, *scheme; /* as in settings/broker.h */
};

struct provider {
    const char *broker;   /* a known name of settings/broker.h. An entry of broker[] with that name
                             takes the place of ours. */
    const char *variable; /* of runner.env: the base URL of another such API; NULL: there is none */
    const char *path;     /* what usual base URLs end in, behind the broker's upstream: "/v1" */
    const char *url;      /* the usual base URL, path and all */
    struct provider_key keys[PROVIDER_KEYS_MAX]; /* the first that is there is taken */
};

/* A way to log in that the program itself has to have. */
struct provider_login {
    const char *variable;
    const char *warning;  /* that tasks have it, and what to use instead; static */
    bool is_instead;      /* with it the program uses no key of another kind: none is brokered */
    bool is_fallback;     /* it only counts where there is no key */
    const char *hosts[2]; /* that it needs in place of the APIs', as entries of settings/allow.h */
};

/* All that a runner's program can work with. */
struct provider_set {
    const char *product; /* how people call the program: "Claude Code" */
    const struct provider *providers;
    size_t provider_count;
    const struct provider_login *logins;
    size_t login_count;
    bool takes_others; /* it can work by any entry of broker[], too */
    /* Whose API is asked where none of them has a key; NULL: somebody else's. Without it the
     * first one's. */
    const struct provider *(*meant)(const struct settings *settings);
};

/* Whether runner.secrets, runner.env or what the server provides has that variable. */
bool provider_is_set(const struct settings *settings, const char *variable);
/* The value that runner.env has; NULL: none. Borrowed from the settings. */
const char *provider_variable(const struct settings *settings, const char *variable);
/* Whether there is a key of it or a broker for it. */
bool provider_has_key(const struct provider_set *set, const struct provider *p,
                      const struct settings *settings);
/* Whether tasks ask it by their broker, and don't have its key. */
bool provider_is_brokered(const struct provider_set *set, const struct provider *p,
                          const struct settings *settings);
/* The base URL that the task's program is to use, brokered or not; allocated. */
char *provider_address(const struct provider_set *set, const struct provider *p,
                       const struct settings *settings);

/* For all of a set. Whether there is any key, broker or login. */
bool provider_has_any(const struct provider_set *set, const struct settings *settings);
bool provider_any_brokered(const struct provider_set *set, const struct settings *settings);
/* The brokers that no entry of broker[] asks for, appended. */
void provider_add_brokers(const struct provider_set *set, const struct settings *settings,
                          struct broker_list *list);
/* Whether tasks don't get that variable, as a broker has what is in it. */
bool provider_keeps(const struct provider_set *set, const struct settings *settings,
                    const char *variable);
/* What keys and logins tasks get though they had better not, and what to do; static, NULL: none. */
const char *provider_exposed(const struct provider_set *set, const struct settings *settings);
/* Where tasks have to get to without a broker, as entries of settings/allow.h, appended: the APIs
 * that there are keys for, or else the one that is meant. */
void provider_add_hosts(const struct provider_set *set, const struct settings *settings,
                        struct strv *hosts);
/* Whether what the settings say of their addresses can be brokered, and whether there is any way to
 * them: -EINVAL with a sentence naming the key. */
int provider_check(const struct provider_set *set, const struct settings *settings,
                   struct err *err);
