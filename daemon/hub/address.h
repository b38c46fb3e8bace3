/* address.h - where the hub listens: "HOST:PORT" in, a listening socket out.
 * HOST is a numeric IPv4 address, a numeric IPv6 address in brackets, or "localhost"; names are
 * not looked up. ":PORT" and "PORT" mean 127.0.0.1. Port 0: the kernel chooses. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct err;

enum { ADDRESS_TEXT_MAX = 64 };

struct address {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* -EINVAL with a sentence for what is no such address. */
int address_parse(const char *text, struct address *ret_address, struct err *err);
bool address_is_loopback(const struct address *a);
/* "127.0.0.1:8420", "[::1]:8420". Returns buffer. */
const char *address_text(const struct address *a, char buffer[ADDRESS_TEXT_MAX]);
/* A socket that listens there; *a becomes the address with the port that the kernel chose. */
int address_listen(struct address *a, int *ret_fd, struct err *err);
