/* readiness.h - how `nairid up` learns that the daemon serves: the receiving end of sd_notify(3).
 * A datagram socket of mode 0600 in our state directory; its path goes to the daemon as
 * NOTIFY_SOCKET. Of what comes only a line READY=1 counts. */
#pragma once

struct err;
struct loop;
struct readiness;

typedef void (*readiness_fn)(void *ctx);

/* dir: absolute. Where its path is too long for a socket a private directory under
 * $XDG_RUNTIME_DIR or /tmp serves, and is removed again. */
int readiness_new(struct loop *loop, const char *dir, readiness_fn fn, void *ctx,
                  struct readiness **ret_readiness, struct err *err);
const char *readiness_path(const struct readiness *r); /* borrowed */
void readiness_free(struct readiness *r);              /* removes the socket */
