/* pushes.h - the realtime channel as the core's ear: what it brings becomes events. Only
 * translates. */
#pragma once
#include <stdbool.h>

struct daemon;
struct err;
struct pushes;

int pushes_new(struct daemon *d, struct pushes **ret_pushes, struct err *err);
void pushes_want(struct pushes *p, bool open); /* CORE_CMD_CHANNEL */
void pushes_key_changed(struct pushes *p);     /* the daemon has another key */
void pushes_free(struct pushes *p);
