#include "hub/route.h"

#include <stdio.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/artifact.h"
#include "hub/attachment.h"
#include "hub/configuration.h"
#include "hub/conversation.h"
#include "hub/envvar.h"
#include "hub/inbox.h"
#include "hub/message.h"
#include "hub/resource.h"
#include "hub/roster.h"
#include "hub/skill.h"
#include "hub/submission.h"
#include "hub/vault.h"
#include "hub/vaultsecret.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/utf8.h"

#define PUBLIC "/api/public/v1"
#define AGENTS "/api/agents"

/* clang-format off */
static const struct route routes[] = {
    { "POST",   PUBLIC "/conversations/start",                 KEY_ORG,   conversation_start },
    { "POST",   PUBLIC "/conversations/{id}/continue",         KEY_ORG,   conversation_continue },
    { "POST",   PUBLIC "/conversations/{id}/stop",             KEY_ORG,   conversation_stop },
    { "GET",    PUBLIC "/conversations/{id}/messages",         KEY_ORG,   message_list },
    { "GET",    PUBLIC "/conversations",                       KEY_ORG,   roster_list },
    { "GET",    PUBLIC "/messages/{id}",                       KEY_ORG,   message_get },
    { "GET",    PUBLIC "/agents",                              KEY_ORG,   agent_list },
    { "POST",   PUBLIC "/agents",                              KEY_ORG,   agent_create },
    { "POST",   PUBLIC "/agents/{agent}/deploy",               KEY_ORG,   agent_deploy },
    { "GET",    PUBLIC "/agents/{agent}/env-vars",             KEY_ORG,   envvar_list },
    { "POST",   PUBLIC "/agents/{agent}/env-vars",             KEY_ORG,   envvar_create },
    { "PATCH",  PUBLIC "/agents/{agent}/env-vars/{id}",        KEY_ORG,   envvar_patch },
    { "DELETE", PUBLIC "/agents/{agent}/env-vars/{id}",        KEY_ORG,   envvar_delete },
    { "GET",    PUBLIC "/agents/{agent}/resources",            KEY_ORG,   resource_list },
    { "POST",   PUBLIC "/agents/{agent}/resources",            KEY_ORG,   resource_create },
    { "DELETE", PUBLIC "/agents/{agent}/resources/{id}",       KEY_ORG,   resource_delete },
    { "GET",    PUBLIC "/agents/{agent}/conversations",        KEY_ORG,   roster_list_of_agent },
    { "GET",    PUBLIC "/agents/{agent}",                      KEY_ORG,   agent_get },
    { "PATCH",  PUBLIC "/agents/{agent}",                      KEY_ORG,   agent_patch },
    { "DELETE", PUBLIC "/agents/{agent}",                      KEY_ORG,   agent_delete },
    { "GET",    PUBLIC "/artifacts/rules",                     KEY_ORG,   artifact_list_rules },
    { "POST",   PUBLIC "/artifacts/rules",                     KEY_ORG,   artifact_create_rule },
    { "GET",    PUBLIC "/artifacts/rules/{id}",                KEY_ORG,   artifact_get_rule },
    { "PUT",    PUBLIC "/artifacts/rules/{id}",                KEY_ORG,   artifact_put_rule },
    { "DELETE", PUBLIC "/artifacts/rules/{id}",                KEY_ORG,   artifact_delete_rule },
    { "GET",    PUBLIC "/artifacts/mcp-configs",               KEY_ORG,   artifact_list_mcp_configs },
    { "POST",   PUBLIC "/artifacts/mcp-configs",               KEY_ORG,   artifact_create_mcp_config },
    { "GET",    PUBLIC "/artifacts/mcp-configs/{id}",          KEY_ORG,   artifact_get_mcp_config },
    { "PUT",    PUBLIC "/artifacts/mcp-configs/{id}",          KEY_ORG,   artifact_put_mcp_config },
    { "DELETE", PUBLIC "/artifacts/mcp-configs/{id}",          KEY_ORG,   artifact_delete_mcp_config },
    { "GET",    PUBLIC "/artifacts/skills",                    KEY_ORG,   artifact_list_skills },
    { "POST",   PUBLIC "/artifacts/skills",                    KEY_ORG,   skill_create },
    { "GET",    PUBLIC "/artifacts/skills/{id}",               KEY_ORG,   artifact_get_skill },
    { "DELETE", PUBLIC "/artifacts/skills/{id}",               KEY_ORG,   artifact_delete_skill },
    { "GET",    PUBLIC "/vaults",                              KEY_ORG,   vault_list },
    { "POST",   PUBLIC "/vaults",                              KEY_ORG,   vault_create },
    { "GET",    PUBLIC "/vaults/{id}",                         KEY_ORG,   vault_get },
    { "PATCH",  PUBLIC "/vaults/{id}",                         KEY_ORG,   vault_patch },
    { "DELETE", PUBLIC "/vaults/{id}",                         KEY_ORG,   vault_delete },
    { "GET",    PUBLIC "/vaults/{id}/secrets",                 KEY_ORG,   vaultsecret_list },
    { "POST",   PUBLIC "/vaults/{id}/secrets",                 KEY_ORG,   vaultsecret_create },
    { "PATCH",  PUBLIC "/vaults/{id}/secrets/{id}",            KEY_ORG,   vaultsecret_patch },
    { "DELETE", PUBLIC "/vaults/{id}/secrets/{id}",            KEY_ORG,   vaultsecret_delete },
    { "POST",   PUBLIC "/attachments",                         KEY_ORG,   attachment_create },
    { "GET",    PUBLIC "/attachments/{id}",                    KEY_ORG,   attachment_get },
    { "DELETE", PUBLIC "/attachments/{id}",                    KEY_ORG,   attachment_delete },
    { "GET",    AGENTS "/jobs",                                KEY_AGENT, inbox_poll },
    { "POST",   AGENTS "/messages",                            KEY_AGENT, submission_post },
    { "POST",   AGENTS "/messages/{id}/ack",                   KEY_AGENT, submission_ack },
    { "GET",    AGENTS "/token",                               KEY_AGENT, configuration_token },
    { "GET",    AGENTS "/env",                                 KEY_AGENT, configuration_env },
    { "GET",    AGENTS "/artifacts",                           KEY_AGENT, configuration_artifacts },
    { "POST",   AGENTS "/attachments",                         KEY_AGENT, attachment_submit },
    { "GET",    AGENTS "/attachments/{id}",                    KEY_AGENT, configuration_file },
};
/* clang-format on */

bool route_is_upload(const struct route *route)
{
    return route->handler == attachment_create || route->handler == attachment_submit ||
           route->handler == skill_create;
}

enum { PARTS_MAX = 2 };

/* What of a path stands for a {...} of its pattern. */
struct part {
    const char *start;
    size_t len;
};

/* Recursion is as deep as there are {...} in the pattern. */
static bool match(const char *pattern, const char *path, struct part *part)
{
    const char *brace = strchr(pattern, '{'), *tail;
    size_t head = brace ? (size_t)(brace - pattern) : strlen(pattern);
    size_t most;

    if (!brace)
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, head) != 0)
        return false;
    tail = strchr(brace, '}') + 1;
    part->start = path + head;
    most = str_starts_with(brace, "{agent}") ? strlen(part->start) : strcspn(part->start, "/");
    for (part->len = most; part->len > 0; part->len--)
        if (match(tail, part->start + part->len, part + 1))
            return true;
    return false;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *route_decode(const char *s, size_t len)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    for (size_t i = 0; i < len; i++) {
        int c = s[i];

        if (c == '%') {
            int high = i + 2 < len ? hex(s[i + 1]) : -1;
            int low = high >= 0 ? hex(s[i + 2]) : -1;

            c = high * 16 + low;
            if (low < 0 || c == 0)
                return NULL;
            i += 2;
        }
        buf_append_char(&b, (char)c);
    }
    return utf8_is_valid(buf_str(&b), b.len) ? buf_steal(&b) : NULL;
}

static bool decode_parts(const struct part parts[PARTS_MAX], struct route_match *found)
{
    found->target = parts[0].start ? route_decode(parts[0].start, parts[0].len) : NULL;
    found->item = parts[1].start ? route_decode(parts[1].start, parts[1].len) : NULL;
    if (!parts[0].start == !found->target && !parts[1].start == !found->item)
        return true;
    free(found->target);
    free(found->item);
    return false;
}

enum route_result route_find(const char *method, const char *path, struct route_match *ret_match)
{
    struct route_match found = { 0 };
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        struct part parts[PARTS_MAX + 1] = { 0 };

        if (!match(routes[i].path, path, parts))
            continue;
        if (str_eq(routes[i].method, method)) {
            found.route = &routes[i];
            if (!decode_parts(parts, &found))
                return ROUTE_BAD_PATH;
            *ret_match = found;
            return ROUTE_FOUND;
        }
        if (!strstr(found.allow, routes[i].method) && used < sizeof found.allow)
            used += (size_t)snprintf(found.allow + used, sizeof found.allow - used, "%s%s",
                                     used > 0 ? ", " : "", routes[i].method);
    }
    *ret_match = found;
    return used > 0 ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}
