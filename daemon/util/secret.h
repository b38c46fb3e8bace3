/* secret.h - a short secret in locked memory that is never dumped and is wiped when freed. A forked
 * process has zeros in its place: it must neither read nor free what its parent made.
 * Over libsodium's guarded allocations. sodium_init() is called by secret_setup(). */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;
struct secret;

enum { SECRET_MAX = 8192 };

/* Once, first thing in main(). Returns 0 or -ENOSYS. */
int secret_setup(void);
/* Copies len bytes (1..SECRET_MAX). -EINVAL outside that, -ENOMEM if memory can't be locked. */
int secret_new(const void *bytes, size_t len, struct secret **ret_secret, struct err *err);
/* A file's contents without trailing white space. Refuses one that others may read or write
 * (mode & 077, unless it lies in $CREDENTIALS_DIRECTORY), links, and non-regular files, each with
 * a sentence that says the remedy. */
int secret_load(const char *path, struct secret **ret_secret, struct err *err);
/* Moves the value of an environment variable: copied to locked memory, then wiped in place (an
 * unset variable still shows in /proc/PID/environ) and unset. -ENOENT if unset or empty. */
int secret_take_env(const char *name, struct secret **ret_secret, struct err *err);
const char *secret_text(const struct secret *s); /* NUL-terminated; borrowed */
size_t secret_len(const struct secret *s);
bool secret_equals(const struct secret *s, const char *text, size_t len); /* constant time */
void secret_free(struct secret *s);                                       /* wipes */
DEFINE_CLEANUP(struct secret *, secret_free);
void secret_wipe(void *bytes, size_t len);
/* buf_done() for one that held a secret. What it held before it grew stays behind: buf_reserve()
 * for all of it comes first. */
void secret_wipe_buf(struct buf *b);
