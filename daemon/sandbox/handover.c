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

/* Which of the trees come with it. */
struct piece {
    uint32_t count;
    uint32_t steps[PIECE];
};

/* The first datagram, with the plan's descriptor, the task's 0 to 2, and the first trees; the
 * others follow, a piece each. */
struct head {
    uint32_t step_count;
    uint32_t tree_count;
    uint32_t limited, opens;
    struct piece piece;
};

/* The next of them. Returns how many: 0 when there is none left. */
static size_t fill(struct piece *piece, int *fds, const struct handover *h, size_t step_count,
                   size_t *next)
{
    *piece = (struct piece){ 0 };
    for (; *next < step_count && piece->count < PIECE; (*next)++) {
        if (h->trees[*next] < 0)
            continue;
        piece->steps[piece->count] = (uint32_t)*next;
        fds[piece->count++] = h->trees[*next];
    }
    return piece->count;
}

int handover_send(int control, const struct handover *h, size_t step_count)
{
    int fds[FIRST_FDS + PIECE] = { h->plan_fd, h->stdio[0], h->stdio[1], h->stdio[2] };
    struct head head = { .step_count = (uint32_t)step_count,
                         .limited = h->limited,
                         .opens = h->opens };
    struct piece piece;
    size_t next = 0, count = fill(&head.piece, fds + FIRST_FDS, h, step_count, &next);
    int r;

    for (size_t i = 0; i < step_count; i++)
        head.tree_count += h->trees[i] >= 0;
    r = fd_send(control, &head, sizeof head, fds, FIRST_FDS + count);
    while (r == 0 && (count = fill(&piece, fds, h, step_count, &next)) > 0)
        r = fd_send(control, &piece, sizeof piece, fds, count);
    return r;
}

static int read_plan(int fd, struct plan **ret_plan)
{
    struct stat st;
    AUTO_FREE char *bytes = NULL;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size <= 0 || st.st_size > PLAN_BYTES_MAX)
        return -EINVAL;
    bytes = mem_alloc((size_t)st.st_size);
    if (pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size)
        return plan_take(TAKE_PTR(bytes), (size_t)st.st_size, ret_plan, NULL);
    secret_wipe(bytes, (size_t)st.st_size); /* the environment is among it */
    return -EIO;
}

static int take(struct handover *h, const struct head *head, const struct piece *piece,
                const int *fds, uint32_t *left)
{
    if (piece->count > PIECE || piece->count > *left)
        return -EPIPE;
    for (uint32_t i = 0; i < piece->count; i++) {
        if (piece->steps[i] >= head->step_count || fds[i] < 0)
            return -EBADMSG;
        h->trees[piece->steps[i]] = fds[i];
    }
    *left -= piece->count;
    return 0;
}

static int recv_trees(int control, struct handover *h, const struct head *head, const int *fds)
{
    uint32_t left = head->tree_count;
    int r = take(h, head, &head->piece, fds, &left);

    while (r == 0 && left > 0) {
        struct piece piece;
        int more[PIECE];
        ssize_t n = fd_recv(control, &piece, sizeof piece, more, PIECE);

        if (n < 0)
            return (int)n;
        r = n != sizeof piece || piece.count == 0 ? -EPIPE : take(h, head, &piece, more, &left);
    }
    return r;
}

int handover_recv(int control, struct handover *ret_handover)
{
    struct handover h = { 0 };
    struct head head;
    int fds[FIRST_FDS + PIECE], r;
    ssize_t n = fd_recv(control, &head, sizeof head, fds, FIRST_FDS + PIECE);

    if (n < 0)
        return (int)n;
    if (n != sizeof head || fds[FIRST_FDS - 1] < 0) /* its end, or the word to end */
        return -EPIPE;
    h.limited = head.limited != 0;
    h.opens = head.opens != 0;
    h.plan_fd = fds[0];
    memcpy(h.stdio, fds + 1, sizeof h.stdio);
    r = read_plan(h.plan_fd, &h.plan);
    if (r < 0)
        return r;
    if (h.plan->step_count != head.step_count)
        return -EBADMSG;
    h.trees = mem_calloc(h.plan->step_count + 1, sizeof h.trees[0]);
    for (size_t i = 0; i < h.plan->step_count; i++)
        h.trees[i] = -1;
    r = recv_trees(control, &h, &head, fds + FIRST_FDS);
    if (r == 0)
        *ret_handover = h;
    return r; /* where it failed, the process ends, and with it all that it has */
}
