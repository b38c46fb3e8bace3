/* exitcode.h - what nairid's exit status means, in the names of <sysexits.h>.
 *   EX_OK 0           stopped as asked, done
 *   EXITCODE_FAILED 1 `ask`: the task failed; `cancel`: no such job; `check` never uses it
 *   EX_USAGE 64       unknown verb or flag, a missing or impossible argument
 *   EX_UNAVAILABLE 69 server unreachable within the start limit
 *   EX_SOFTWARE 70    a bug of ours, or something of the machine that has no other code
 *   EX_CANTCREAT 73   a directory or file can't be made or written
 *   EX_IOERR 74       disk full, read or write error
 *   EX_TEMPFAIL 75    try again: lock held, crash-only exit, drain cut short, out of memory or
 *                     descriptors
 *   EX_NOPERM 77      the server refused the key
 *   EX_CONFIG 78      settings or keys are wrong, the machine can't give what they demand, or the
 *                     journal is none that this version can use
 * A service manager restarts on 69, 70, 74 and 75; the others stay until a person acts. */
#pragma once
#include <stdbool.h>
#include <sysexits.h>

enum { EXITCODE_FAILED = 1 };

/* The exit code for a negative errno that came from making, locking, reading or writing our own
 * files. -EINVAL is EX_CONFIG: what is invalid came from a person. So are -EBADMSG and -ENOTSUP: a
 * file that isn't what it should be stays so until a person acts. */
int exitcode_from_errno(int error);
/* The same for what came of doing as the settings say: EX_CONFIG, unless the machine was short of
 * something or a disk failed, where starting again can help. */
int exitcode_from_setting(int error);
/* The same for what came of starting a task: what passes by itself, as a process that was killed or
 * a machine that is too slow, is no reason to stay down either. */
int exitcode_from_start(int error);
/* Whether starting again can help, as the unit file has it. */
bool exitcode_is_transient(int code);
