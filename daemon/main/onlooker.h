/* onlooker.h - names the system calls that a command in the sandbox is refused, on the loop: for
 * `nairid sandbox --explain -- COMMAND`. */
#pragma once
#include "util/cleanup.h"
#include <stdint.h>

struct err;
struct loop;
struct onlooker;

/* calls: of the command's plan. -ENOSYS and the like where the kernel can't do it. */
int onlooker_new(uint32_t calls, struct onlooker **ret_onlooker, struct err *err);
void onlooker_free(struct onlooker *o); /* before its loop */
DEFINE_CLEANUP(struct onlooker *, onlooker_free);
/* For spawner_fork_watching(); stays ours. */
int onlooker_sock(const struct onlooker *o);
/* Begins to answer. After the spawner has been forked. */
void onlooker_attach(struct onlooker *o, struct loop *loop);
/* What was refused so far, on standard error. */
void onlooker_tell(const struct onlooker *o);
