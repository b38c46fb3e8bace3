#include "core/remedy.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"

void remedy_size(struct buf *b, uint64_t bytes)
{
    if (bytes > 0 && bytes % (1U << 20) == 0)
        buf_printf(b, "%llu MiB", (unsigned long long)(bytes >> 20));
    else if (bytes > 0 && bytes % (1U << 10) == 0)
        buf_printf(b, "%llu KiB", (unsigned long long)(bytes >> 10));
    else
        buf_printf(b, "%llu bytes", (unsigned long long)bytes);
}

/* " (sandbox.limits.NAME is 64 MiB)" */
static void name_size(struct buf *b, const char *name, uint64_t bytes)
{
    if (bytes == 0)
        return;
    buf_printf(b, " (sandbox.limits.%s is ", name);
    remedy_size(b, bytes);
    buf_append_char(b, ')');
}

void remedy_limit(struct buf *b, enum limit limit, const struct ending_limits *limits)
{
    char span[32];

    switch (limit) {
    case LIMIT_MEMORY:
        buf_append_str(b, "it needed more memory than it may use");
        name_size(b, "memory", limits->memory_bytes);
        return;
    case LIMIT_CPU_TIME:
        buf_append_str(b, "it used up the processor time that it may use");
        if (limits->cpu_time_ms > 0)
            buf_printf(b, " (sandbox.limits.cpu_time is %s)",
                       clock_span(span, limits->cpu_time_ms));
        return;
    case LIMIT_PIDS:
        buf_append_str(b, "it had more processes and threads than it may");
        if (limits->pids > 0)
            buf_printf(b, " (sandbox.limits.pids is %u)", limits->pids);
        return;
    case LIMIT_DISK:
        buf_append_str(b, "the conversation's files take more disk space than they may");
        name_size(b, "disk", limits->disk_bytes);
        buf_append_str(b, "; they are still there, and another message can have some removed");
        return;
    case LIMIT_ROOM:
        buf_append_str(b, "the machine's disk was nearly full, as it seems by this task; the "
                          "operator of the machine can make room or lower sandbox.limits.disk");
        return;
    case LIMIT_NONE:
    case LIMIT_COUNT:
        return;
    }
}

/* ---- what programs say ---- */

enum kind { MEMORY, PIDS, FILES, FILE_SIZE, ROOM };

/* strerror(3) and its like in what runtimes say. */
static const struct {
    const char *words;
    enum kind kind;
} signs[] = {
    { "Too many open files", FILES },
    { "EMFILE", FILES },
    { "File too large", FILE_SIZE },
    { "File size limit exceeded", FILE_SIZE },
    { "EFBIG", FILE_SIZE },
    { "No space left on device", ROOM },
    { "ENOSPC", ROOM },
    { "Cannot fork", PIDS },
    { "cannot fork", PIDS },
    { "fork: retry", PIDS },
    { "fork: Resource temporarily unavailable", PIDS },
    { "fork failed: resource temporarily unavailable", PIDS },
    { "BlockingIOError: [Errno 11] Resource temporarily unavailable", PIDS },
    { "can't start new thread", PIDS },
    { "unable to create native thread", PIDS },
    { "pthread_create", PIDS },
    { "Cannot allocate memory", MEMORY },
    { "ENOMEM", MEMORY },
    { "MemoryError", MEMORY },
    { "bad_alloc", MEMORY },
    { "ut of memory", MEMORY },
};

static bool find_sign(const char *said, enum kind *ret_kind)
{
    for (size_t i = 0; said && i < ARRAY_SIZE(signs); i++)
        if (strstr(said, signs[i].words)) {
            *ret_kind = signs[i].kind;
            return true;
        }
    return false;
}

static bool recognise(const struct ending *e, enum kind *ret_kind)
{
    if (WIFSIGNALED(e->status) && WTERMSIG(e->status) == SIGXFSZ) {
        *ret_kind = FILE_SIZE;
        return true;
    }
    return find_sign(e->stderr_tail, ret_kind) || find_sign(e->error, ret_kind);
}

void remedy_hint(struct buf *b, const struct ending *e, const struct ending_limits *limits)
{
    enum kind kind;

    if (!recognise(e, &kind))
        return;
    buf_append_str(b, "\n\n[a limit of the sandbox may be the cause: ");
    switch (kind) {
    case MEMORY:
        buf_append_str(b, "the memory of a task");
        name_size(b, "memory", limits->memory_bytes);
        break;
    case PIDS:
        buf_append_str(b, "the number of processes and threads of a task");
        if (limits->pids > 0)
            buf_printf(b, " (sandbox.limits.pids is %u)", limits->pids);
        break;
    case FILES:
        buf_append_str(b, "the number of open files of a process");
        if (limits->files > 0)
            buf_printf(b, " (sandbox.limits.files is %u)", limits->files);
        break;
    case FILE_SIZE:
        buf_append_str(b, "the size of a file");
        name_size(b, "disk", limits->disk_bytes);
        break;
    case ROOM:
        buf_append_str(b, "temporary files (/tmp, /dev/shm) have a share of the task's memory");
        name_size(b, "memory", limits->memory_bytes);
        buf_append_str(b, "; or the machine's disk is full");
        break;
    }
    buf_append_char(b, ']');
}
