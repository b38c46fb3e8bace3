#include "settings/agentkey.h"

#include <errno.h>

#include "settings/envfile.h"
#include "settings/settings.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

#define CREDENTIAL "agent-key"

int agentkey_take_env(struct agentkey *ret_key, struct err *err)
{
    static const char *const names[] = { "NAIRI_API_KEY", "EKSEC_API_KEY" };
    struct agentkey found = { 0 };
    int result = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) { /* to the end: each is wiped */
        CLEANUP_PTR(secret_free) struct secret *key = NULL;
        int r = secret_take_env(names[i], &key, result < 0 ? NULL : err);

        if (r < 0 && r != -ENOENT && result == 0)
            result = r;
        if (r == 0 && !found.key)
            found = (struct agentkey){ .key = TAKE_PTR(key), .source = names[i] };
    }
    if (result < 0)
        agentkey_done(&found);
    else
        *ret_key = found;
    return result;
}

static int load_credential(struct agentkey *k, struct err *err)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    AUTO_FREE char *path = NULL;
    int r;

    if (str_is_empty(directory))
        return 0;
    path = mem_printf("%s/" CREDENTIAL, directory);
    k->source = "systemd credential";
    r = secret_load(path, &k->key, err);
    return r == -ENOENT ? 0 : r; /* other credentials may be there */
}

static int find_key(const struct settings *s, struct agentkey *from_env, struct agentkey *k,
                    struct err *err)
{
    int r = load_credential(k, err);

    if (r < 0 || k->key)
        return r;
    if (!str_is_empty(s->api_key_file)) {
        k->source = "api_key_file";
        r = secret_load(s->api_key_file, &k->key, err);
        if (r < 0)
            (void)err_prefix(err, "api_key_file");
        return r;
    }
    r = envfile_key(s->env_file, &k->key, &k->source, err);
    if (r < 0 || k->key) {
        k->source = k->key && str_starts_with(k->source, "NAIRI") ? "NAIRI_API_KEY in .env"
                                                                  : "EKSEC_API_KEY in .env";
        return r;
    }
    if (from_env && from_env->key) {
        *k = *from_env;
        *from_env = (struct agentkey){ 0 };
        return 0;
    }
    return err_set(err, -ENOKEY,
                   "there is no agent key: put it into a file of mode 600 and name that file in "
                   "api_key_file, or in a unit of systemd's in LoadCredential=" CREDENTIAL
                   ":FILE; or set NAIRI_API_KEY");
}

static int check_kind(const struct agentkey *k, struct err *err)
{
    const char *text = secret_text(k->key);

    if (str_starts_with(text, "nr_"))
        return err_set(
            err, -EKEYREJECTED,
            "the key from %s begins 'nr_': that is an organisation's key for the public "
            "API; the daemon needs an agent key ('nairi-hub key create --agent SLUG', or "
            "the Self-host page of the hosted service)",
            k->source);
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~')
            return err_set(err, -EINVAL,
                           "the key from %s has a character in it that no key has: it must be one "
                           "line of printable characters",
                           k->source);
    return 0;
}

int agentkey_load(const struct settings *s, struct agentkey *from_env, struct agentkey *ret_key,
                  struct err *err)
{
    struct agentkey k = { 0 };
    int r = find_key(s, from_env, &k, err);

    if (r == 0)
        r = check_kind(&k, err);
    if (from_env)
        agentkey_done(from_env);
    if (r < 0) {
        agentkey_done(&k);
        return r;
    }
    *ret_key = k;
    return 0;
}

void agentkey_done(struct agentkey *k)
{
    secret_free(k->key);
    *k = (struct agentkey){ 0 };
}
