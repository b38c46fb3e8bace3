/* adminsock.h - the socket DIR/control.sock: bound, found and removed. For control/ only.
 * An address holds 107 bytes of path, less than a state directory may have, and the working
 * directory of a program with threads can't be changed for the moment of a bind. So the path goes
 * through an open descriptor of the directory, /proc/self/fd/N/control.sock: always short, and
 * always that very directory. Source: unix(7), proc(5). */
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct err;

struct adminsock {
    int fd;     /* listening, non-blocking */
    int dir_fd; /* O_PATH */
    dev_t dev;  /* of the socket's file, so that only our own is removed */
    ino_t ino;
};

/* Binds and listens; the file is 0600 from its first moment. One that nobody listens on is
 * replaced. -EADDRINUSE: a daemon listens there. -EEXIST: something that is no socket lies there.
 */
int adminsock_listen(const char *dir, struct adminsock *ret_sock, struct err *err);
/* Removes the file if it is still ours, and closes both. */
void adminsock_done(struct adminsock *s);
/* A connected descriptor, blocking; waits at most timeout_ms for a place in the queue. */
int adminsock_connect(const char *dir, uint32_t timeout_ms, struct err *err);
