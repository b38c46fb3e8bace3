#include "sandbox/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/filter.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum { ROWS_MAX = 256, COMM_MAX = 16 /* proc(5): TASK_COMM_LEN */ };

struct row {
    char *text;
    char program[4 * COMM_MAX];
    int error;
    uint64_t count;
};

struct witness {
    struct filter *filter;
    struct row rows[ROWS_MAX];
    size_t row_count;
    uint64_t others;     /* calls beyond those */
    size_t request_size; /* the kernel's; ours may be older */
    size_t answer_size;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

int witness_new(uint32_t calls, struct witness **ret_witness, struct err *err)
{
    CLEANUP_PTR(witness_free) struct witness *w = mem_new(struct witness);
    struct seccomp_notif_sizes sizes;
    int r = filter_new(FILTER_TASK, calls, &w->filter, err);

    if (r < 0)
        return r;
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
        return err_set(err, -errno, "this kernel can't tell of refused system calls: %s",
                       strerror(errno));
    w->request_size = larger(sizes.seccomp_notif, sizeof(struct seccomp_notif));
    w->answer_size = larger(sizes.seccomp_notif_resp, sizeof(struct seccomp_notif_resp));
    *ret_witness = TAKE_PTR(w);
    return 0;
}

void witness_free(struct witness *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->row_count; i++)
        free(w->rows[i].text);
    filter_free(w->filter);
    free(w);
}

/* The name of a thread, which it may have chosen itself. */
static void find_program(uint32_t pid, char *program, size_t size)
{
    char path[64], comm[COMM_MAX + 2] = "";
    AUTO_CLOSE int fd = -1;
    ssize_t n;

    (void)snprintf(path, sizeof path, "/proc/%u/comm", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : fd_read_all(fd, comm, sizeof comm - 1);
    comm[n > 0 ? n - 1 : 0] = '\0'; /* without the newline */
    (void)utf8_line(program, size, *comm ? comm : "a process");
}

static void note(struct witness *w, const struct filter_call *call, int error, uint32_t pid)
{
    CLEANUP(buf_done) struct buf text = { 0 };
    char program[4 * COMM_MAX];
    struct row *row;

    filter_name(call, &text);
    find_program(pid, program, sizeof program);
    for (size_t i = 0; i < w->row_count; i++) {
        row = &w->rows[i];
        if (row->error == error && str_eq(row->text, buf_str(&text)) &&
            str_eq(row->program, program)) {
            row->count++;
            return;
        }
    }
    if (w->row_count == ROWS_MAX) {
        w->others++;
        return;
    }
    row = &w->rows[w->row_count++];
    *row = (struct row){ .text = buf_steal(&text), .error = error, .count = 1 };
    memcpy(row->program, program, sizeof program);
}

int witness_answer(struct witness *w, int listener)
{
    AUTO_FREE struct seccomp_notif *request = mem_alloc(w->request_size);
    AUTO_FREE struct seccomp_notif_resp *answer = mem_alloc(w->answer_size);
    struct pollfd asks = { .fd = listener, .events = POLLIN };
    struct filter_call call = { 0 };
    int error = 0;

    if (poll(&asks, 1, 0) < 0)
        return -errno;
    if (!(asks.revents & POLLIN)) /* the next call would wait, for ever perhaps */
        return asks.revents ? -EPIPE : -EAGAIN;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request) < 0)
        return -errno;
    call.number = request->data.nr;
    for (size_t i = 0; i < ARRAY_SIZE(call.arguments); i++)
        call.arguments[i] = request->data.args[i];
    /* What reaches us the filter refuses; where the two would ever differ, it stays refused. */
    if (filter_decide(w->filter, &call, &error) != FILTER_REFUSED)
        error = ENOSYS;
    note(w, &call, error, request->pid);
    answer->id = request->id;
    answer->error = -error;
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer) < 0 ? -errno : 0;
}

void witness_print(const struct witness *w, struct buf *b)
{
    for (size_t i = 0; i < w->row_count; i++) {
        const struct row *row = &w->rows[i];

        buf_printf(b, "refused %s: %s, %llu time%s, by %s\n", row->text,
                   filter_error_name(row->error), (unsigned long long)row->count,
                   row->count == 1 ? "" : "s", row->program);
    }
    if (w->others > 0)
        buf_printf(b, "refused further calls: %llu times\n", (unsigned long long)w->others);
}
