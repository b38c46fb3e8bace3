#include "sandbox/handover.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/plan.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"

enum { PIECE = 12, FIRST_FDS = 4 };

/* The first datagram, with the plan's descriptor and the task's 0 to 2. */
struct head {
    uint32_t step_count;
    uint32_t tree_count; /* in the pieces that follow */
    uint32_t limited, opens;
};

struct piece {
    uint32_t count;
    uint32_t steps[PIECE];
};

int handover_send(int control, int plan_fd, const struct handover *h, size_t step_count)
{
    const int first[FIRST_FDS] = { plan_fd, h->stdio[0], h->stdio[1], h->stdio[2] };
    struct head head = { .step_count = (uint32_t)step_count,
                         .limited = h->limited,
                         .opens = h->opens };
    struct piece piece = { 0 };
    int fds[PIECE], r;

    for (size_t i = 0; i < step_count; i++)
        head.tree_count += h->trees[i] >= 0;
    r = fd_send(control, &head, sizeof head, first, FIRST_FDS);
    for (size_t i = 0; r == 0 && i < step_count; i++) {
        if (h->trees[i] >= 0) {
            piece.steps[piece.count] = (uint32_t)i;
            fds[piece.count++] = h->trees[i];
        }
        if (piece.count == PIECE || (piece.count > 0 && i + 1 == step_count)) {
            r = fd_send(control, &piece, sizeof piece, fds, piece.count);
            piece = (struct piece){ 0 };
        }
    }
    return r;
}

static int read_plan(int fd, struct plan **ret_plan)
{
    struct stat st;
    AUTO_FREE char *bytes = NULL;
    int r;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size <= 0 || st.st_size > PLAN_BYTES_MAX)
        return -EINVAL;
    bytes = mem_alloc((size_t)st.st_size);
    if (pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size)
        r = plan_decode(bytes, (size_t)st.st_size, ret_plan, NULL);
    else
        r = -EIO;
    secret_wipe(bytes, (size_t)st.st_size); /* the environment is among it */
    return r;
}

static int recv_trees(int control, struct handover *h, const struct head *head)
{
    uint32_t left = head->tree_count;

    while (left > 0) {
        struct piece piece;
        int fds[PIECE];
        ssize_t n = fd_recv(control, &piece, sizeof piece, fds, PIECE);

        if (n < 0)
            return (int)n;
        if (n != sizeof piece || piece.count == 0 || piece.count > PIECE || piece.count > left)
            return -EPIPE;
        for (uint32_t i = 0; i < piece.count; i++) {
            if (piece.steps[i] >= head->step_count || fds[i] < 0)
                return -EBADMSG;
            h->trees[piece.steps[i]] = fds[i];
        }
        left -= piece.count;
    }
    return 0;
}

int handover_recv(int control, struct handover *ret_handover)
{
    struct handover h = { 0 };
    struct head head;
    int fds[FIRST_FDS], r;
    ssize_t n = fd_recv(control, &head, sizeof head, fds, FIRST_FDS);

    if (n < 0)
        return (int)n;
    if (n != sizeof head || fds[FIRST_FDS - 1] < 0) /* its end, or the word to end */
        return -EPIPE;
    h.limited = head.limited != 0;
    h.opens = head.opens != 0;
    memcpy(h.stdio, fds + 1, sizeof h.stdio);
    r = read_plan(fds[0], &h.plan);
    (void)close(fds[0]); /* only read */
    if (r < 0)
        return r;
    if (h.plan->step_count != head.step_count)
        return -EBADMSG;
    h.trees = mem_calloc(h.plan->step_count + 1, sizeof h.trees[0]);
    for (size_t i = 0; i < h.plan->step_count; i++)
        h.trees[i] = -1;
    r = recv_trees(control, &h, &head);
    if (r == 0)
        *ret_handover = h;
    return r; /* where it failed, the process ends, and with it all that it has */
}
