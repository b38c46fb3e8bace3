/* chore.h - what the hub does by itself from time to time: fail messages that wait too long
 * (overdue.h), remove uploads that nobody refers to (attachment.h). */
#pragma once
#include "util/cleanup.h"
#include <stdint.h>

struct chore_list;
struct depot;
struct loop;
struct storage;

struct chore_settings {
    uint64_t queue_timeout_ms;     /* 0: messages wait for ever */
    uint64_t attachment_unused_ms; /* how long an upload stays that nothing refers to */
};

/* storage and depot are borrowed. stirred: messages were failed, which may let others go. */
struct chore_list *chore_list_new(struct loop *loop, struct storage *storage, struct depot *depot,
                                  const struct chore_settings *settings, void (*stirred)(void *ctx),
                                  void *ctx);
/* Nothing new is begun. What the storage still has must come back before the list is freed. */
void chore_list_stop(struct chore_list *list);
void chore_list_free(struct chore_list *list);
DEFINE_CLEANUP(struct chore_list *, chore_list_free);
