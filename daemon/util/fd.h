/* fd.h - whole reads and writes, and descriptors over sockets.
 * All return negative errno on failure. Every descriptor made here is close-on-exec. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

struct buf;
struct err;

/* Reads until EOF or until size bytes are there; returns the count. Retries EINTR. */
ssize_t fd_read_all(int fd, void *bytes, size_t size);
/* Writes all of it or fails. Retries EINTR; for blocking descriptors. */
int fd_write_all(int fd, const void *bytes, size_t len);
/* Whole file appended to b; -EMSGSIZE past max bytes. Follows no symbolic link at the last part of
 * the path. Regular files only. */
int fd_read_file(const char *path, size_t max, struct buf *b, struct err *err);
/* Writes beside, fsyncs, renames over, fsyncs the directory. mode: of the new file. */
int fd_write_file(const char *path, const void *bytes, size_t len, mode_t mode, struct err *err);
int fd_set_nonblock(int fd);
int fd_set_cloexec(int fd, int on);
/* A sealed memory file holding the bytes, offset 0, close-on-exec: fit for a child's stdin. */
int fd_memfile(const char *name, const void *bytes, size_t len);
/* One datagram with up to nfds descriptors (at most 16) on a SOCK_SEQPACKET socket. */
int fd_send(int sock, const void *bytes, size_t len, const int *fds, size_t nfds);
/* Receives one datagram and its descriptors (-1 in unused places). Returns the length, 0 at EOF,
 * -EAGAIN when there is none, -EMSGSIZE if it was cut (descriptors are then closed). */
ssize_t fd_recv(int sock, void *bytes, size_t size, int *fds, size_t nfds);
