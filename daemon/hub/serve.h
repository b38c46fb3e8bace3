/* serve.h - `nairi-hub serve`: opens the database, listens, says so, and runs until a signal. */
#pragma once

struct err;

#define SERVE_LISTEN_DEFAULT "127.0.0.1:8420"

/* listen: as address.h has it. patience: seconds for a request to arrive, 1 to 3600, as text; NULL:
 * 60. path: of the database. Prints "ready http://HOST:PORT" on stdout
 * once it can serve. Returns 0 after TERM or INT, or a negative errno: -EINVAL for the address or
 * the patience, -EBUSY where another hub or program is in the way. */
int serve_run(const char *listen, const char *patience, const char *path, struct err *err);
