#include "hub/configuration.h"

#include "hub/artifact.h"
#include "hub/attachment.h"
#include "hub/call.h"
#include "hub/db.h"
#include "hub/envvar.h"
#include "hub/storage.h"
#include "hub/vault.h"
#include "util/json.h"

int configuration_token(struct call *c, struct model *m)
{
    (void)m;
    return call_refuse(c, 404,
                       "this hub issues no model tokens: give the runner its own login on the "
                       "agent's machine");
}

/* A daemon has taken over what POST /agents/{id}/deploy asked for. */
static int note_deployed(struct model *m, int64_t agent)
{
    int64_t rc =
        db_run(m->db, "UPDATE agents SET deploy_wanted = 0 WHERE seq = ?1 AND deploy_wanted <> 0",
               "i", agent);

    return rc < 0 ? (int)rc : 0;
}

int configuration_env(struct call *c, struct model *m)
{
    struct json *root = json_object(), *list = json_array();
    int rc = envvar_deliver(c, m, c->agent.seq, list);

    if (rc > 0)
        rc = vault_deliver(c, m, c->agent.seq, list);
    json_add(root, "env_vars", list);
    if (rc <= 0) { /* the database failed, or c is refused */
        json_free(root);
        return rc;
    }
    (void)call_reply(c, 200, root);
    return note_deployed(m, c->agent.seq);
}

int configuration_artifacts(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *list = json_array();
    int rc = artifact_deliver(m, c->agent.seq, list);

    return rc < 0 ? rc : call_reply(c, 200, TAKE_PTR(list));
}

int configuration_file(struct call *c, struct model *m)
{
    int rc = artifact_download(c, m, c->target);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    return attachment_fetch(c, m);
}
