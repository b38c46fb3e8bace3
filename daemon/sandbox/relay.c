#include "sandbox/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, HOLE_BYTES = 1 << 20, PIECES_A_TURN = 64 };

int relay_open(struct relay *r, const char *directory, int out)
{
    int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (file < 0)
        return -errno;
    if (fcntl(out, F_SETFL, O_NONBLOCK) < 0) {
        int error = -errno;

        (void)close(file);
        return error;
    }
    *r = (struct relay){ .file = file, .out = out };
    return 0;
}

/* Whole pieces behind us; where it can't be done the memory stays until the end. */
static void free_behind(const struct relay *r, off_t before)
{
    if (r->at / HOLE_BYTES != before / HOLE_BYTES)
        (void)fallocate(r->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, r->at);
}

/* Apart, as so large a buffer costs its caller whether it is used or not. */
__attribute__((noinline)) static bool pass(struct relay *r)
{
    char piece[PIECE_BYTES];
    ssize_t n;

    for (int i = 0; r->out >= 0 && (n = pread(r->file, piece, sizeof piece, r->at)) > 0; i++) {
        ssize_t written;

        if (i == PIECES_A_TURN)
            return true;
        written = write(r->out, piece, (size_t)n);
        if (written < 0 && errno == EAGAIN)
            return true;
        if (written < 0) { /* nobody reads any more */
            r->out = -1;
            break;
        }
        r->at += written;
        free_behind(r, r->at - written);
    }
    return false;
}

bool relay_pass(struct relay *r)
{
    return r->out >= 0 && pass(r);
}
