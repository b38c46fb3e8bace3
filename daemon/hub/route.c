#include "hub/route.h"

#include <stdio.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/configuration.h"
#include "hub/conversation.h"
#include "hub/inbox.h"
#include "hub/message.h"
#include "hub/submission.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/utf8.h"

#define PUBLIC "/api/public/v1"
#define AGENTS "/api/agents"

/* clang-format off */
static const struct route routes[] = {
    { "POST",  PUBLIC "/conversations/start",         KEY_ORG,   conversation_start },
    { "POST",  PUBLIC "/conversations/{id}/continue", KEY_ORG,   conversation_continue },
    { "POST",  PUBLIC "/conversations/{id}/stop",     KEY_ORG,   conversation_stop },
    { "GET",   PUBLIC "/conversations/{id}/messages", KEY_ORG,   message_list },
    { "GET",   PUBLIC "/messages/{id}",               KEY_ORG,   message_get },
    { "GET",   PUBLIC "/agents",                      KEY_ORG,   agent_list },
    { "POST",  PUBLIC "/agents",                      KEY_ORG,   agent_create },
    { "GET",   PUBLIC "/agents/{agent}",              KEY_ORG,   agent_get },
    { "PATCH", PUBLIC "/agents/{agent}",              KEY_ORG,   agent_patch },
    { "GET",   AGENTS "/jobs",                        KEY_AGENT, inbox_poll },
    { "POST",  AGENTS "/messages",                    KEY_AGENT, submission_post },
    { "POST",  AGENTS "/messages/{id}/ack",           KEY_AGENT, submission_ack },
    { "GET",   AGENTS "/token",                       KEY_AGENT, configuration_token },
    { "GET",   AGENTS "/env",                         KEY_AGENT, configuration_env },
    { "GET",   AGENTS "/artifacts",                   KEY_AGENT, configuration_artifacts },
};
/* clang-format on */

/* Where in path the target of pattern stands; false if the path doesn't match. */
static bool match(const char *pattern, const char *path, const char **ret_target, size_t *ret_len)
{
    const char *brace = strchr(pattern, '{');
    size_t head = brace ? (size_t)(brace - pattern) : strlen(pattern);
    const char *tail;
    size_t rest;

    *ret_target = NULL;
    *ret_len = 0;
    if (!brace)
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, head) != 0)
        return false;
    tail = strchr(brace, '}') + 1;
    path += head;
    rest = strlen(path);
    if (rest <= strlen(tail) || !str_ends_with(path, tail))
        return false;
    *ret_target = path;
    *ret_len = rest - strlen(tail);
    return str_starts_with(brace, "{agent}") || !memchr(path, '/', *ret_len);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL for what can't be decoded. */
static char *decode(const char *s, size_t len)
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

enum route_result route_find(const char *method, const char *path, struct route_match *ret_match)
{
    struct route_match found = { 0 };
    const char *target;
    size_t len, used = 0;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!match(routes[i].path, path, &target, &len))
            continue;
        if (str_eq(routes[i].method, method)) {
            found.route = &routes[i];
            found.target = target ? decode(target, len) : NULL;
            if (target && !found.target)
                return ROUTE_BAD_PATH;
            *ret_match = found;
            return ROUTE_FOUND;
        }
        used += (size_t)snprintf(found.allow + used, sizeof found.allow - used, "%s%s",
                                 used > 0 ? ", " : "", routes[i].method);
    }
    *ret_match = found;
    return used > 0 ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}
