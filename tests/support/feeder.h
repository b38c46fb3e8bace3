/* feeder.h - a TCP server on a loop that sends the same bytes to each client, whatever it is asked,
 * and then ends its side. For one client at a time. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct feeder;
struct loop;

/* On 127.0.0.1. Aborts where the machine gives no socket. */
struct feeder *feeder_new(struct loop *loop);
unsigned feeder_port(const struct feeder *f);
/* Borrowed until the next one. Clients that are still there are dropped. */
void feeder_serve(struct feeder *f, const uint8_t *bytes, size_t len);
void feeder_free(struct feeder *f);
