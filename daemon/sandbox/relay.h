/* relay.h - a program's standard output by way of a file. Some programs (those made with Bun) write
 * to a pipe without waiting, and end before what the reader was too slow for is out: a long answer
 * loses its end. A file takes all at once; process 1 passes it on. Only what async-signal-safe
 * functions can do; owns nothing. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct relay {
    int file; /* what the program writes to */
    int out;  /* where it goes, non-blocking; -1: there is nobody any more, or no relay at all */
    off_t at; /* so far */
};

/* Makes the file, without a name, in a directory of the sandbox, and makes out non-blocking. */
int relay_open(struct relay *r, const char *directory, int out);
/* Passes on what is there now; frees the file's memory behind it. Returns whether out is full: call
 * it again when it isn't. So it does too after a while, where the reader is as fast as the file
 * grows: the caller has others to hear. */
bool relay_pass(struct relay *r);
