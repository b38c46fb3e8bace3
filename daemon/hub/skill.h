/* skill.h - the upload of a skill: an archive that becomes an attachment, and the artifact that
 * refers to it.
 * When the file is on disk, a thread of the depot reads in it what it is called (skillzip.h); then
 * the handler makes the rows. */
#pragma once
#include <stdint.h>

struct call;
struct depot;
struct model;

enum { SKILL_FILE_MAX = 32 << 20 };

/* Looks into c's deposit and ends with `ready`, later: c->skill is set, or it is NULL and c is
 * refused. c must not be freed until then. */
typedef void (*skill_ready_fn)(struct call *c, void *ctx);
void skill_look(struct depot *depot, struct call *c, skill_ready_fn ready, void *ctx);

/* Handler of POST /artifacts/skills. */
int skill_create(struct call *c, struct model *m);
