#include "main/upstate.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "main/child.h"
#include "store/statedir.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

enum { KEY_TIMEOUT_MS = 30 * 1000 };

int upstate_open(const char *given, struct upstate *ret_state, struct err *err)
{
    struct upstate s = { .lock_fd = -1 };
    AUTO_FREE char *dir = NULL;
    AUTO_CLOSE int fd = -1;
    int r = clientenv_state_dir(given, &dir, err);

    if (r < 0)
        return r;
    r = statedir_open(dir, &s.dir, &fd, err);
    if (r < 0)
        return r;
    r = statedir_lock(fd, s.dir, &s.lock_fd, err);
    if (r < 0) {
        upstate_done(&s);
        return r;
    }
    s.database = mem_printf("%s/hub.db", s.dir);
    s.agent_key = mem_printf("%s/agent.key", s.dir);
    s.daemon_dir = mem_printf("%s/daemon", s.dir);
    *ret_state = s;
    return 0;
}

/* `hub key create FLAG VALUE --db DATABASE`; the key without its newline. */
static int create_key(const struct upstate *s, const char *hub, const struct strv *env,
                      const char *flag, const char *value, struct secret **ret_key, struct err *err)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    CLEANUP(buf_done) struct buf output = { 0 };
    const char *words[] = { hub, "key", "create", flag, value, "--db", s->database };
    char text[64];
    size_t len;
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        strv_add(&argv, words[i]);
    r = child_collect(&argv, env, KEY_TIMEOUT_MS, &output, err);
    if (r < 0)
        return r;
    if (r != 0)
        return err_set(err, -EIO,
                       "'nairi-hub key create %s %s' ended with %s; what it said is above", flag,
                       value, child_status_text(text, r));
    len = strcspn(buf_str(&output), "\r\n");
    r = secret_new(buf_str(&output), len, ret_key, err);
    secret_wipe(output.data, output.cap);
    if (r < 0)
        (void)err_prefix(err, "'nairi-hub key create' printed no key");
    return r;
}

static int create_keys(struct upstate *s, const char *agent_id, const char *hub,
                       const struct strv *env, struct err *err)
{
    struct secret *agent = NULL;
    int r;

    clientenv_done(&s->client);
    s->client.agent_id = mem_strdup(agent_id);
    r = create_key(s, hub, env, "--org", "local", &s->client.key, err);
    if (r < 0)
        return r;
    r = create_key(s, hub, env, "--agent", agent_id, &agent, err);
    if (r < 0)
        return r;
    r = fd_write_file(s->agent_key, secret_text(agent), secret_len(agent), 0600, err);
    secret_free(agent);
    return r;
}

static bool has_keys(const struct upstate *s, const char *agent_id)
{
    return s->client.key && str_eq(s->client.agent_id, agent_id) &&
           access(s->database, F_OK) == 0 && access(s->agent_key, F_OK) == 0;
}

int upstate_keys(struct upstate *s, const char *agent_id, const char *hub, const struct strv *env,
                 struct err *err)
{
    int r = clientenv_load(s->dir, &s->client, err);

    if (r < 0 && r != -ENOENT)
        return r;
    if (!has_keys(s, agent_id))
        return create_keys(s, agent_id, hub, env, err);
    free(TAKE_PTR(s->client.url)); /* of the last time */
    return 0;
}

void upstate_done(struct upstate *s)
{
    clientenv_done(&s->client);
    free(s->dir);
    free(s->database);
    free(s->agent_key);
    free(s->daemon_dir);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd); /* which is what releases it */
    *s = (struct upstate){ .lock_fd = -1 };
}
