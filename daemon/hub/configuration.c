#include "hub/configuration.h"

#include "hub/call.h"
#include "util/json.h"

int configuration_token(struct call *c, struct model *m)
{
    (void)m;
    return call_refuse(c, 404,
                       "this hub issues no model tokens: give the runner its own login on the "
                       "agent's machine");
}

int configuration_env(struct call *c, struct model *m)
{
    struct json *root = json_object();

    (void)m;
    json_add(root, "env_vars", json_array());
    return call_reply(c, 200, root);
}

int configuration_artifacts(struct call *c, struct model *m)
{
    (void)m;
    return call_reply(c, 200, json_array());
}
