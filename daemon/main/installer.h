/* installer.h - fetches the artifacts that the control plane lists and puts them on the shelf
 * (workspace/shelf.h), one after the other: rules as they are, MCP configs merged, skills taken
 * apart by a process without files. With a gateway (runner.mcp_gateway) its servers take the place
 * of the MCP configs. All of them are in force at once, or the set before stays.
 * One that is bad by itself is named and left out; where the server, the way to it, the gateway or
 * this machine fails, all of it fails, and the caller tries again. Nothing here blocks. */
#pragma once
#include "main/manifest.h"
#include "spawner/spawner.h"
#include "upstream/provision.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;
struct installer;
struct shelf;

struct installer_result {
    bool ok;           /* the new set is in force */
    const char *error; /* the sentence; with ok: that of something that is left out until another
                        * attempt; NULL: all is there */
    uint32_t retry_after_ms;
    struct manifest *manifest; /* with ok: of the set; may be taken over */
};
typedef void (*installer_fn)(const struct installer_result *result, void *ctx);

/* d, shelf: outlive it. Makes a thread. */
int installer_new(struct daemon *d, struct shelf *shelf, struct installer **ret_installer,
                  struct err *err);
void installer_free(struct installer *i);
/* Takes over what *files holds. Not while it is busy. tired: it has failed several times; what may
 * be an artifact's own fault then counts as that. insist: what fails otherwise than by its own
 * fault is left out for now, too. fn never comes before this returns. */
void installer_start(struct installer *i, struct provision_files *files, bool tired, bool insist,
                     installer_fn fn, void *ctx);
/* Reads what the set in force says of itself: false where there is none for this server and agent.
 * The mask then knows its secrets. For the start, as it blocks. */
bool installer_read(struct installer *i, struct manifest *ret_manifest);

/* The spawner's words about tasks that are its own. */
void installer_output(struct installer *i, const char *bytes, size_t len);
void installer_exited(struct installer *i, const struct spawner_exit *e);
