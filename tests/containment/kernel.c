/* System calls that no task needs, and through which kernels were taken over, or that would change
 * the machine. Where a call would do harm it is made so that it can't: with an argument that is
 * refused later than the right to make it. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

/* Newer than the system's headers may be. */
enum { CALL_MEMFD_SECRET = 447, CALL_CACHESTAT = 451, CALL_MSEAL = 462, CALL_NEWEST = 470 };

static int io_ring(struct scene *s, const char *argument)
{
    char params[120] = { 0 }; /* struct io_uring_params */

    (void)argument;
    return probe_verdict(s, syscall(SYS_io_uring_setup, 4, params), "made a ring");
}

static int io_ring_use(struct scene *s, const char *argument)
{
    (void)argument; /* of a descriptor that is none */
    if (syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0) < 0 && errno != EBADF)
        return -errno;
    scene_say(s, "may use rings");
    return 0;
}

static int bpf_map(struct scene *s, const char *argument)
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
    };

    (void)argument;
    return probe_verdict(s, syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr), "made a map");
}

/* Asking for an object that isn't there gives ENOENT to those who may ask. */
static int bpf_any(struct scene *s, const char *argument)
{
    union bpf_attr attr = { 0 };

    (void)argument;
    if (syscall(SYS_bpf, 0xffff, &attr, sizeof attr) < 0 && errno != EINVAL)
        return -errno;
    scene_say(s, "the kernel looks at what it was asked");
    return 0;
}

static int perf_open(struct scene *s, const char *argument)
{
    struct perf_event_attr attr = { .size = sizeof attr,
                                    .type = PERF_TYPE_SOFTWARE,
                                    .config = PERF_COUNT_SW_TASK_CLOCK,
                                    .exclude_kernel = 1,
                                    .exclude_hv = 1 };

    (void)argument;
    return probe_verdict(s, syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0), "counts events");
}

static int fault_handler(struct scene *s, const char *argument)
{
    (void)argument; /* 1: UFFD_USER_MODE_ONLY, which needs no right */
    return probe_verdict(s, syscall(SYS_userfaultfd, 1 | O_CLOEXEC), "handles page faults");
}

static int secret_memory(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, syscall(CALL_MEMFD_SECRET, 0), "has memory hidden from the kernel");
}

static int page_cache(struct scene *s, const char *argument)
{
    uint64_t range[2] = { 0, 4096 }, stat[8];
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)argument;
    return probe_verdict(s, syscall(CALL_CACHESTAT, fd, range, stat, 0),
                         "sees who read what of a file");
}

static int newest(struct scene *s, const char *argument)
{
    (void)argument;
    for (long call = CALL_MSEAL; call <= CALL_NEWEST; call++) {
        if (syscall(call, -1, 0, 0, 0, 0, 0) == 0 || errno != ENOSYS) {
            scene_say(s, "system call %ld is there", call);
            return 0;
        }
    }
    return -ENOSYS;
}

static int watch_all(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(
        s, syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_REPORT_FID, O_RDONLY),
        "is told of file events");
}

/* As "Shocker" left Docker: a file's handle opens it from wherever. */
static int open_handle(struct scene *s, const char *path)
{
    struct {
        struct file_handle handle;
        unsigned char bytes[MAX_HANDLE_SZ];
    } file = { .handle.handle_bytes = MAX_HANDLE_SZ };
    int mount_id, at = open(path, O_RDONLY | O_CLOEXEC);

    if (name_to_handle_at(AT_FDCWD, path, &file.handle, &mount_id, 0) < 0)
        return -errno;
    return probe_verdict(s, open_by_handle_at(at, &file.handle, O_RDONLY | O_CLOEXEC),
                         "opened a file by its handle");
}

static int kernel_log(struct scene *s, const char *argument)
{
    char bytes[4096];

    (void)argument; /* 3: SYSLOG_ACTION_READ_ALL */
    return probe_verdict(s, syscall(SYS_syslog, 3, bytes, sizeof bytes), "read the kernel's log");
}

static int clock_adjustment(struct scene *s, const char *argument)
{
    struct timex t = { 0 };

    (void)argument;
    return probe_verdict(s, adjtimex(&t), "looks at the clock's adjustment");
}

/* To the time that it is. */
static int clock_set(struct scene *s, const char *argument)
{
    struct timespec now;

    (void)argument;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return probe_verdict(s, clock_settime(CLOCK_REALTIME, &now), "set the clock");
}

static int past_the_check(struct scene *s, long r, const char *what)
{
    if (r < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES))
        return -errno;
    scene_say(s, "%s", what);
    return 0;
}

static int reboot_machine(struct scene *s, const char *argument)
{
    (void)argument; /* only that its three keys ask first: harmless */
    return past_the_check(s,
                          syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
                                  LINUX_REBOOT_CMD_CAD_OFF, NULL),
                          "may restart the machine");
}

static int load_kernel(struct scene *s, const char *argument)
{
    (void)argument;
    return past_the_check(s, syscall(SYS_kexec_load, 0, 0, NULL, 0xffffffff), "may load a kernel");
}

static int load_module(struct scene *s, const char *argument)
{
    (void)argument;
    return past_the_check(s, syscall(SYS_init_module, NULL, 0, ""), "may load modules");
}

static int load_module_file(struct scene *s, const char *argument)
{
    (void)argument;
    return past_the_check(s, syscall(SYS_finit_module, -1, "", 0), "may load modules");
}

static int quotas(struct scene *s, const char *argument)
{
    (void)argument; /* Q_SYNC of all file systems */
    return probe_verdict(s, syscall(SYS_quotactl, 0x800001 << 8, NULL, 0, NULL), "synced quotas");
}

static int accounting(struct scene *s, const char *argument)
{
    (void)argument;
    return past_the_check(s, syscall(SYS_acct, "/nonexistent"), "may account for processes");
}

static int hang_up(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, syscall(SYS_vhangup), "hung up");
}

static int old_call(struct scene *s, const char *argument)
{
#ifdef SYS_sysfs
    (void)argument; /* 3: how many types of file systems there are */
    return probe_verdict(s, syscall(SYS_sysfs, 3, 0, 0), "the kernel's types of file systems");
#else
    (void)s;
    (void)argument;
    return PROBE_ABSENT;
#endif
}

static int old_statistics(struct scene *s, const char *argument)
{
#ifdef SYS_ustat
    char bytes[64];

    (void)argument;
    if (syscall(SYS_ustat, 0, bytes) < 0 && errno != EINVAL)
        return -errno;
    scene_say(s, "asked for a file system's statistics");
    return 0;
#else
    (void)s;
    (void)argument;
    return PROBE_ABSENT;
#endif
}

/* ---- the processor ---- */

#ifdef __x86_64__
static int io_level(struct scene *s, const char *argument)
{
    (void)argument; /* to none, which needs no right */
    return probe_verdict(s, syscall(SYS_iopl, 0), "may ask for ports");
}

static int io_permission(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, syscall(SYS_ioperm, 0x80, 1, 0), "may ask for ports");
}

static int segments(struct scene *s, const char *argument)
{
    char bytes[64];

    (void)argument;
    return probe_verdict(s, syscall(SYS_modify_ldt, 0, bytes, sizeof bytes), "has segments");
}

/* The calls of a 32-bit kernel, whose numbers mean others to a filter. */
static int old_gate(struct scene *s, const char *argument)
{
    long r = 20; /* getpid */

    (void)argument;
    __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
    if (r < 0)
        return (int)r;
    scene_say(s, "is process %ld to 32-bit calls", r);
    return 0;
}

static int x32_call(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, syscall(0x40000000 | SYS_getpid), "makes calls of x32");
}
#endif

static int personality_of(struct scene *s, const char *number)
{
    return probe_verdict(s, personality(strtoul(number, NULL, 16)), "another personality");
}

/* Addresses below what the kernel reserves, where its null pointers lead. */
static int map_zero(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s,
                         mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED
                             ? -1
                             : 0,
                         "mapped address 0");
}

static const struct probe probes[] = {
    { "kernel-io-uring", io_ring, NULL },
    { "kernel-io-uring-enter", io_ring_use, NULL },
    { "kernel-bpf-map", bpf_map, NULL },
    { "kernel-bpf", bpf_any, NULL },
    { "kernel-perf", perf_open, NULL },
    { "kernel-userfaultfd", fault_handler, NULL },
    { "kernel-memfd-secret", secret_memory, NULL },
    { "kernel-cachestat", page_cache, NULL },
    { "kernel-newest", newest, NULL },
    { "kernel-fanotify", watch_all, NULL },
    { "kernel-handle", open_handle, "." },
    { "kernel-handle-root", open_handle, "/" },
    { "kernel-syslog", kernel_log, NULL },
    { "kernel-adjtimex", clock_adjustment, NULL },
    { "kernel-clock", clock_set, NULL },
    { "kernel-reboot", reboot_machine, NULL },
    { "kernel-kexec", load_kernel, NULL },
    { "kernel-module", load_module, NULL },
    { "kernel-module-file", load_module_file, NULL },
    { "kernel-quota", quotas, NULL },
    { "kernel-acct", accounting, NULL },
    { "kernel-vhangup", hang_up, NULL },
    { "kernel-sysfs", old_call, NULL },
    { "kernel-ustat", old_statistics, NULL },
#ifdef __x86_64__
    { "kernel-iopl", io_level, NULL },
    { "kernel-ioperm", io_permission, NULL },
    { "kernel-ldt", segments, NULL },
    { "kernel-int80", old_gate, NULL },
    { "kernel-x32", x32_call, NULL },
#endif
    { "kernel-personality-exec", personality_of, "400000" },
    { "kernel-personality-32", personality_of, "8" },
    { "kernel-personality-old", personality_of, "20000" },
    { "kernel-personality-zero", personality_of, "100000" },
    { "kernel-map-zero", map_zero, NULL },
};

const struct probe *kernel_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
