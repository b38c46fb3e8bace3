/* installer.h - fetches the artifacts that the control plane lists and puts them on the shelf
 * (workspace/shelf.h), one after the other: rules as they are, MCP configs merged, skills taken
 * apart by a process without files. All of them are in force at once, or the set before stays.
 * One that is bad by itself is named and left out; where the server or the way to it fails, all of
 * it fails, and the caller tries again. */
#pragma once
#include "spawner/spawner.h"
#include "upstream/provision.h"
#include "util/strv.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct daemon;
struct installer;
struct settings;
struct shelf;

struct installer_result {
    bool ok;           /* the new set is in force */
    const char *error; /* !ok: the sentence */
    uint32_t retry_after_ms;
};
typedef void (*installer_fn)(const struct installer_result *result, void *ctx);

/* What is in a set, for people. */
struct installer_summary {
    size_t rules, skills, mcp_servers;
    struct strv mcp_places; /* of remote MCP servers, as entries of settings/allow.h */
    struct strv problems;
};

/* d, shelf: outlive it. */
int installer_new(struct daemon *d, struct shelf *shelf, struct installer **ret_installer,
                  struct err *err);
void installer_free(struct installer *i);
/* Takes over what *files holds. Not while it is busy. insist: what the server fails to give by an
 * error of its own counts as bad by itself. */
void installer_start(struct installer *i, struct provision_files *files, bool insist,
                     installer_fn fn, void *ctx);
bool installer_is_busy(const struct installer *i);
/* Reads what the set in force says of itself: false where there is none for this server and agent.
 * The mask then knows its secrets. */
bool installer_read(struct installer *i, struct installer_summary *ret_summary);
void installer_summary_done(struct installer_summary *s);
/* That of the set in force in a state directory, for those who are no daemon: -ENOENT where there
 * is none for this server and agent. */
int installer_peek(const struct settings *s, struct installer_summary *ret_summary);
/* "2 rules, 1 skill, 3 MCP servers" */
void installer_describe(const struct installer_summary *s, struct buf *b);

/* The spawner's words about tasks that are its own. */
bool installer_is_one(uint64_t task);
void installer_output(struct installer *i, const char *bytes, size_t len);
void installer_exited(struct installer *i, const struct spawner_exit *e);
