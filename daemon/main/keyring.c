#include "main/keyring.h"

#include <errno.h>
#include <string.h>

#include "sandbox/gateway.h"
#include "settings/settings.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mask.h"
#include "util/secret.h"
#include "util/str.h"

/* What runner.env has, which is no better a place for it than for any secret. */
static int load_variable(const struct settings *s, const char *name, struct secret **ret_key,
                         struct err *err)
{
    const struct settings_pairs *const places[] = { &s->runner_env, &s->runner_provided };

    for (size_t k = 0; k < ARRAY_SIZE(places); k++)
        for (size_t i = 0; i < places[k]->len; i++) {
            const struct settings_pair *pair = &places[k]->items[i];

            if (str_eq(pair->name, name))
                return secret_new(pair->value, strlen(pair->value), ret_key, err);
        }
    return err_set(err, -ENOENT, "it is not in runner.env");
}

int keyring_load(const struct settings *s, const struct broker *broker, struct mask *mask,
                 struct secret **ret_key, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    int r = broker->key_file ? secret_load(broker->key_file, &key, err)
                             : load_variable(s, broker->key_variable, &key, err);

    if (r < 0)
        return (void)err_prefix(err, "broker %s: its key", broker->name), r;
    r = mask ? mask_add(mask, secret_text(key), secret_len(key)) : 0;
    if (r < 0)
        return err_set(err, r,
                       "broker %s: its key has fewer than %d characters; one that short can't be "
                       "kept out of replies",
                       broker->name, MASK_MIN);
    *ret_key = TAKE_PTR(key);
    return 0;
}

int keyring_pack(const struct settings *s, const struct broker_list *brokers, struct mask *mask,
                 int *ret_fd, struct err *err)
{
    struct secret *keys[BROKER_MAX + 1] = { NULL };
    size_t count = 0;
    int r = 0, fd = -1;

    if (brokers->len > ARRAY_SIZE(keys))
        return err_set(err, -EINVAL, "there are more than %d brokers", BROKER_MAX);
    while (r == 0 && count < brokers->len) {
        r = keyring_load(s, &brokers->items[count], mask, &keys[count], err);
        count += r == 0;
    }
    if (r == 0 && count > 0) {
        fd = gateway_pack_keys((const struct secret *const *)keys, count);
        if (fd < 0)
            r = err_set(err, fd, "make a memory file for the brokers' keys: %s", strerror(-fd));
    }
    for (size_t i = 0; i < count; i++)
        secret_free(keys[i]);
    if (r == 0)
        *ret_fd = fd;
    return r;
}
