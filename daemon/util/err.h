/* err.h - the sentence that goes with a negative errno.
 * A plain value of fixed size, owned by the caller, who may pass NULL where only the number counts.
 * The text says what failed and why, and where a person can act, what to do; no trailing newline.
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>

enum { ERR_TEXT_MAX = 512 };

struct err {
    int code; /* negative errno, 0 when unset */
    char text[ERR_TEXT_MAX];
};

/* Fills *err (if not NULL) with the code and the formatted text, cut at ERR_TEXT_MAX - 1 bytes, and
 * returns code. code: a negative errno. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_setv(struct err *err, int code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* Puts the formatted text and ": " before the text already there; keeps and returns err's code.
 * With err NULL returns code 0: callers keep the number themselves. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether it is a negative errno at all: another process may claim anything. */
bool err_is_errno(int error);
/* Whether a negative errno means that the machine is short of something (memory, descriptors,
 * processes, locks): what failed may succeed a moment later, and no setting is wrong. */
bool err_is_shortage(int error);
/* Where error is such a shortage, or a disk that is full or fails: fills err with "WHAT 'THING':",
 * the cause and what to do about it, and returns error. Else 0, and err is left alone: then the
 * remedy lies with the thing, and the caller names it. */
int err_set_machine(struct err *err, int error, const char *what, const char *thing);
