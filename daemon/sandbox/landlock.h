/* landlock.h - the second wall, from landlock(7): what may be done with files, whatever is mounted.
 * The numbers are the kernel's own, defined here where the system's header is too old for them.
 * Everything here is async-signal-safe. A thread that has entered a ruleset with file rules can
 * never mount again, nor can what it starts. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan_rule;

/* ABI 1 forbids every rename across directories; from 2 on it can be allowed. */
enum { LANDLOCK_ABI_NEEDED = 2, LANDLOCK_ABI_SCOPES = 6 };

/* The kernel's Landlock ABI, or -ENOSYS (not compiled in), -EOPNOTSUPP (disabled at boot). */
int landlock_abi(void);
enum landlock_flag {
    LANDLOCK_SCOPED = 1, /* where the ABI has that (6), signals and abstract sockets reach only what
                            is inside too */
    LANDLOCK_NO_TCP = 2, /* where the ABI has that (4), no TCP port can be bound or connected to */
    LANDLOCK_FIRM = 4, /* no link is followed beneath what a rule lets be changed (sandbox/firm.h):
                          tasks have been there, and -ELOOP says so */
};

/* Allows what the rules say (sandbox/plan.h) and nothing else, for the calling thread and all that
 * it starts. flags: enum landlock_flag. Needs no_new_privs. Rules whose path isn't there are left
 * out. On failure ret_rule, if not NULL, is the rule's index, or count if it was none of them. */
int landlock_enter(const struct plan_rule *rules, size_t count, int abi, unsigned flags,
                   size_t *ret_rule);
/* The same in steps, for one who knows some of the rules before the others: a ruleset that allows
 * nothing yet; one more rule, -ENOENT where its path isn't there; and to enter it. The first one
 * returns a descriptor, which is the caller's. len: of landlock_firm(), with all rules there are.
 */
int landlock_new(int abi, unsigned flags);
size_t landlock_firm(const struct plan_rule *rules, size_t count, const char *path);
int landlock_allow(int ruleset, const struct plan_rule *rule, size_t len, int abi);
int landlock_restrict(int ruleset);
/* Only the scopes (signals, abstract sockets), but mounting is over with it, too; 0 also where the
 * ABI has none. */
int landlock_enter_scopes(int abi);
