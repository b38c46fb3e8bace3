/* mcp.h - MCP configs of several files as one, or in their place the servers of a gateway. Pure.
 * Source: Nairi, provisioned artifacts: {"mcpServers":{"NAME":{"command","args","env"}}} or
 * {"url","headers","type"}; of a name that comes again the later ones get -2, -3. What a server's
 * entry has besides is passed on as it is. A gateway lists [{"name","url"}], the url a path that is
 * to stand behind its own URL. */
#pragma once
#include "util/cleanup.h"
#include "util/strv.h"
#include <stddef.h>

struct err;
struct mcp;

enum { MCP_FILE_MAX = 256 * 1024, MCP_SERVERS_MAX = 100, MCP_NAME_MAX = 64 };

struct mcp *mcp_new(void);
void mcp_free(struct mcp *m);
DEFINE_CLEANUP(struct mcp *, mcp_free);
/* One file; all of it or, with -EBADMSG and a sentence, nothing. -ENOMEM, here and below: there was
 * no memory to read it. */
int mcp_add(struct mcp *m, const char *text, size_t len, struct err *err);
/* What the gateway at base (an http or https URL without a slash at its end) answered. An entry
 * that can't be used is left out, with a sentence in problems; -EBADMSG with one where it is no
 * list. */
int mcp_add_gateway(struct mcp *m, const char *base, const char *text, size_t len,
                    struct strv *problems, struct err *err);
size_t mcp_len(const struct mcp *m); /* servers */
/* {"mcpServers":{...}}, to be freed. */
char *mcp_print(const struct mcp *m);
/* The same as OpenCode reads it, to be freed: {"mcp":{"NAME":{"type":"local","command":[...],
 * "environment":{...},"enabled":true}}}, or {"type":"remote","url","headers","enabled"}. */
char *mcp_print_opencode(const struct mcp *m);
/* The same as Codex reads it, in TOML, to be freed: tables [mcp_servers."NAME"] with command, args
 * and env, or url and http_headers. */
char *mcp_print_codex(const struct mcp *m);
/* The places of remote servers, as entries of settings/allow.h, each once; appended. */
void mcp_places(const struct mcp *m, struct strv *places);
/* The values that look like secrets, by the names that they have: of env and headers, in args
 * ("--token X", "--token=X", "TOKEN=X", "Authorization: Bearer X") and in a url's query, as they
 * stand there and decoded. Borrowed for the call. */
typedef void (*mcp_secret_fn)(const char *value, void *ctx);
void mcp_each_secret(const struct mcp *m, mcp_secret_fn fn, void *ctx);
