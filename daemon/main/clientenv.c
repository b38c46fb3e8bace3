#include "main/clientenv.h"

#include <errno.h>
#include <string.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

enum { FILE_MAX_BYTES = 64 * 1024 };

int clientenv_state_dir(const char *given, char **ret_dir, struct err *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (!str_is_empty(given))
        *ret_dir = mem_strdup(given);
    else if (state && state[0] == '/') /* relative ones are to be ignored */
        *ret_dir = mem_printf("%s/nairid-up", state);
    else if (!str_is_empty(home))
        *ret_dir = mem_printf("%s/.local/state/nairid-up", home);
    else
        return err_set(err, -EINVAL,
                       "neither HOME nor XDG_STATE_HOME is set: name a directory with --state DIR");
    return 0;
}

int clientenv_check_key(const struct secret *key, struct err *err)
{
    static const char *const agent_prefixes[] = { "nairid_", "eksecd_", "ccagent_" };
    const char *text = secret_text(key);

    for (size_t i = 0; i < ARRAY_SIZE(agent_prefixes); i++)
        if (str_starts_with(text, agent_prefixes[i]))
            return err_set(err, -EINVAL,
                           "the key in NAIRI_PUBLIC_API_KEY begins '%s': that is an agent's key; "
                           "the public API needs an organisation's, which begins 'nr_'",
                           agent_prefixes[i]);
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~')
            return err_set(err, -EINVAL,
                           "the key in NAIRI_PUBLIC_API_KEY has a character in it that no key has");
    return 0;
}

/* The value of "NAME=value" or "export NAME=value", without quotes; NULL for another line. */
static const char *line_value(char *line, const char *name)
{
    size_t len;
    char *value;

    if (str_starts_with(line, "export "))
        line += strlen("export ");
    len = strlen(name);
    if (strncmp(line, name, len) != 0 || line[len] != '=')
        return NULL;
    value = line + len + 1;
    len = strlen(value);
    if (len >= 2 && (value[0] == '\'' || value[0] == '"') && value[len - 1] == value[0]) {
        value[len - 1] = '\0';
        value++;
    }
    return *value ? value : NULL;
}

static int take_line(struct clientenv *c, char *line, struct err *err)
{
    const char *value;

    if ((value = line_value(line, "NAIRI_API_URL"))) {
        free(c->url);
        c->url = mem_strdup(value);
    } else if ((value = line_value(line, "NAIRI_AGENT_ID"))) {
        free(c->agent_id);
        c->agent_id = mem_strdup(value);
    } else if ((value = line_value(line, "NAIRI_PUBLIC_API_KEY"))) {
        secret_free(TAKE_PTR(c->key));
        return secret_new(value, strlen(value), &c->key, err);
    }
    return 0;
}

int clientenv_parse(const char *text, size_t len, struct clientenv *ret_client, struct err *err)
{
    struct clientenv c = { 0 };
    char *copy = mem_dup(text, len), *rest = copy, *line;
    int r = 0;

    while (r == 0 && (line = strsep(&rest, "\r\n")))
        r = take_line(&c, line, err);
    secret_wipe(copy, len);
    free(copy);
    if (r < 0)
        clientenv_done(&c);
    else
        *ret_client = c;
    return r;
}

int clientenv_load(const char *dir, struct clientenv *ret_client, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/" CLIENTENV_FILE, dir);
    CLEANUP(buf_done) struct buf text = { 0 };
    int r = fd_read_file(path, FILE_MAX_BYTES, &text, err);

    if (r < 0)
        return r;
    r = clientenv_parse(buf_str(&text), text.len, ret_client, err);
    secret_wipe(text.data, text.len);
    if (r < 0)
        (void)err_prefix(err, "'%s'", path);
    return r;
}

/* Characters that mean nothing to a shell in an assignment. */
static bool is_plain(const char *s)
{
    return s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                       "_-.:/@%+,[]")] == '\0';
}

int clientenv_save(const char *dir, const struct clientenv *c, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/" CLIENTENV_FILE, dir);
    CLEANUP(buf_done) struct buf text = { 0 };
    int r;

    if (!is_plain(c->url) || !is_plain(secret_text(c->key)) || !is_plain(c->agent_id))
        return err_set(err, -EINVAL,
                       "'%s' can't be written: agent id and URL may have letters, digits and "
                       "_-.:/@%%+, only",
                       path);
    buf_printf(&text,
               "NAIRI_API_URL=%s\nNAIRI_PUBLIC_API_KEY=%s\nNAIRI_AGENT_ID=%s\n"
               "export NAIRI_API_URL NAIRI_PUBLIC_API_KEY NAIRI_AGENT_ID\n",
               c->url, secret_text(c->key), c->agent_id);
    r = fd_write_file(path, text.data, text.len, 0600, err);
    secret_wipe(text.data, text.len);
    return r;
}

void clientenv_done(struct clientenv *c)
{
    free(c->url);
    secret_free(c->key);
    free(c->agent_id);
    *c = (struct clientenv){ 0 };
}
