/* witness.h - names the system calls that one task is refused. For a person who runs a command in
 * the sandbox and wants to know what it lacks; tasks of the daemon have nothing of the kind. The
 * task's filter hands each call that it would refuse to us (seccomp_unotify(2)), we write it down
 * and answer as the usual filter would, so no call is allowed that wasn't. Shell. */
#pragma once
#include "util/cleanup.h"
#include <stdint.h>

struct buf;
struct err;
struct witness;

/* calls: the task's plan's. */
int witness_new(uint32_t calls, struct witness **ret_witness, struct err *err);
void witness_free(struct witness *w);
DEFINE_CLEANUP(struct witness *, witness_free);
/* Answers one call that waits at the descriptor of filter_load_watched(); to be called when that
 * can be read. 0, or a negative errno: -ENOENT where its process has been killed meanwhile, -EAGAIN
 * where none waits, -EPIPE once nobody is left who could ask. */
int witness_answer(struct witness *w, int listener);
/* A line for each refused call, each condition and each program: "refused socket of a family other
 * than unix, inet, inet6 and netlink: EAFNOSUPPORT, 2 times, by python3". The first 256 different
 * ones are kept; what is beyond is counted. "" where nothing was refused. */
void witness_print(const struct witness *w, struct buf *b);
