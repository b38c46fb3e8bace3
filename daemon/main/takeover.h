/* takeover.h - what the daemon that we replace left in its directory, into our journal: at the
 * first start, once. Its file stays as it is; a mark beside it says who took it. One that can't be
 * used is left alone, and the log says why: it never stops a start. */
#pragma once

struct err;
struct settings;
struct store;

/* Where it would look for the file, of the agent's own directory first; ret_path NULL: there is
 * none. To be freed. */
char *takeover_find(const struct settings *s);
/* A path beside it: the mark. To be freed. */
char *takeover_mark(const char *path);
/* Before store_load(). Negative errno where the machine, not the file, is at fault. */
int takeover_run(struct store *store, const struct settings *s, struct err *err);
