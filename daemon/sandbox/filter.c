#include "sandbox/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/filter_lists.h"
#include "settings/profile.h"
#include "util/err.h"
#include "util/mem.h"

struct program {
    struct sock_filter *code;
    size_t len, cap;
};

/* One program, in two parts. The first is libseccomp's: which calls, and in which ABI. Those whose
 * arguments matter end there with a mark, in whose place it goes on to the second part: that is
 * ours, as libseccomp can't say "all but these", and has a section for each of them. All others are
 * decided by a few jumps, which the kernel follows for every call there is when it takes a program.
 * watched is the same with other ends. */
struct filter {
    struct program usual, watched;
};

/* ---- the lists ---- */

enum { SECTIONS_MAX = 64 };

/* What the lists are filled for. calls: those whose arguments matter, a section each. */
struct lists {
    scmp_filter_ctx ctx;
    int calls[SECTIONS_MAX];
    size_t call_count;
};

static int add(scmp_filter_ctx ctx, uint32_t action, int call)
{
    int r = seccomp_rule_add_array(ctx, action, call, 0, NULL);

    /* -EACCES: the action is the filter's default; -EEXIST: the same rule twice */
    return r == -EACCES || r == -EEXIST ? 0 : r;
}

/* Calls fn with each number that the names have on this machine. */
static int each_call(const char *names, int (*fn)(int call, void *ctx), void *ctx)
{
    AUTO_FREE char *copy = mem_strdup(names);
    char *rest = copy, *name;

    while ((name = strsep(&rest, " "))) {
        int call = seccomp_syscall_resolve_name(name), r = call < 0 ? 0 : fn(call, ctx);

        if (r < 0)
            return r;
    }
    return 0;
}

/* call_count where it has none. */
static size_t section_of(const struct lists *lists, int call)
{
    size_t i = 0;

    while (i < lists->call_count && lists->calls[i] != call)
        i++;
    return i;
}

static int add_section(int call, void *ctx)
{
    struct lists *lists = ctx;

    if (section_of(lists, call) < lists->call_count)
        return 0;
    if (lists->call_count == SECTIONS_MAX)
        return -EMSGSIZE;
    lists->calls[lists->call_count++] = call;
    return 0;
}

static int allow_call(int call, void *ctx)
{
    const struct lists *lists = ctx;
    size_t section = section_of(lists, call);

    return add(lists->ctx,
               section < lists->call_count ? SCMP_ACT_TRACE((uint16_t)section) : SCMP_ACT_ALLOW,
               call);
}

static int refuse_call(int call, void *ctx)
{
    const struct lists *lists = ctx;

    return add(lists->ctx, SCMP_ACT_ERRNO(EPERM), call);
}

static bool is_allowed(const struct filter_group *group, enum filter_kind kind, uint32_t calls)
{
    if (group->kinds & (1u << kind))
        return true;
    return kind == FILTER_SPAWNER ? group->calls != 0 : (group->calls & calls) != 0;
}

/* These two allow what they don't list. */
static bool is_extra(enum filter_kind kind)
{
    return kind == FILTER_BARE || kind == FILTER_OFFLINE;
}

static int find_sections(struct lists *lists, enum filter_kind kind)
{
    size_t count;
    const struct filter_check *checks = filter_lists_checks(&count);
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        if (checks[i].kinds & (1u << kind))
            r = each_call(checks[i].calls, add_section, lists);
    for (size_t i = 0; r == 0 && is_extra(kind) && i < lists->call_count; i++)
        r = allow_call(lists->calls[i], lists);
    return r;
}

/* What is allowed comes first: of two rules for one call libseccomp keeps the first. */
static int fill_lists(struct lists *lists, enum filter_kind kind, uint32_t calls)
{
    size_t allowed_count, refused_count;
    const struct filter_group *allowed = filter_lists_allowed(&allowed_count);
    const struct filter_group *refused = filter_lists_refused(&refused_count);
    int r = find_sections(lists, kind);

    for (size_t i = 0; r == 0 && i < allowed_count; i++)
        if (is_allowed(&allowed[i], kind, calls))
            r = each_call(allowed[i].names, allow_call, lists);
    for (size_t i = 0; r == 0 && i < refused_count; i++)
        if (refused[i].kinds & (1u << kind))
            r = each_call(refused[i].names, refuse_call, lists);
    for (size_t i = 0; r == 0 && kind == FILTER_TASK && i < allowed_count; i++)
        if (allowed[i].calls != 0 && !is_allowed(&allowed[i], kind, calls))
            r = each_call(allowed[i].names, refuse_call, lists);
    return r;
}

/* libseccomp writes its program to a descriptor only. */
static int take_code(scmp_filter_ctx ctx, struct program *ret_program)
{
    AUTO_CLOSE int fd = memfd_create("filter", MFD_CLOEXEC);
    struct stat st;
    size_t size;
    int r;

    if (fd < 0)
        return -errno;
    r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    size = (size_t)st.st_size;
    if (size == 0 || size / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return -EMSGSIZE;
    ret_program->code = mem_alloc(size);
    ret_program->len = ret_program->cap = size / sizeof(struct sock_filter);
    return pread(fd, ret_program->code, size, 0) == (ssize_t)size ? 0 : -EIO;
}

static int compile_lists(enum filter_kind kind, uint32_t calls, struct lists *lists,
                         struct program *ret_program)
{
    scmp_filter_ctx ctx = seccomp_init(is_extra(kind) ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS));
    int r;

    if (!ctx)
        return -ENOMEM;
    lists->ctx = ctx;
    r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a chain */
    if (r == 0) /* or every failure of a system call would be ECANCELED */
        r = seccomp_attr_set(ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
    if (r == 0)
        r = fill_lists(lists, kind, calls);
    if (r == 0)
        r = take_code(ctx, ret_program);
    seccomp_release(ctx);
    return r;
}

/* ---- the arguments ---- */

static void emit(struct program *p, uint16_t code, uint32_t k, size_t jt, size_t jf)
{
    if (p->len == p->cap) {
        p->cap += 256;
        p->code = mem_realloc(p->code, p->cap * sizeof p->code[0]);
    }
    p->code[p->len++] =
        (struct sock_filter){ .code = code, .jt = (uint8_t)jt, .jf = (uint8_t)jf, .k = k };
}

static uint32_t offset_of(unsigned argument, bool upper)
{
    size_t at = offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    upper = !upper;
#endif
    return (uint32_t)(at + (upper ? sizeof(uint32_t) : 0));
}

/* Goes on behind itself if the test holds, and skips so many more if it doesn't. */
static void emit_test(struct program *p, const struct filter_check *check, size_t skip)
{
    emit(p, BPF_LD | BPF_W | BPF_ABS, offset_of(check->argument, false), 0, 0);
    switch (check->test) {
    case FILTER_ANY_OF:
        for (size_t left = check->value_count; left-- > 0;)
            emit(p, BPF_JMP | BPF_JEQ | BPF_K, check->values[left], left, left > 0 ? 0 : skip);
        return;
    case FILTER_NONE_OF:
        for (size_t left = check->value_count; left-- > 0;)
            emit(p, BPF_JMP | BPF_JEQ | BPF_K, check->values[left], left + skip, 0);
        return;
    case FILTER_ANY_BIT:
        emit(p, BPF_JMP | BPF_JSET | BPF_K, check->values[0], 0, skip);
        return;
    case FILTER_NO_BIT:
        emit(p, BPF_JMP | BPF_JSET | BPF_K, check->values[0], skip, 0);
        return;
    case FILTER_OF_BITS:
        emit(p, BPF_ALU | BPF_AND | BPF_K, check->values[0], 0, 0);
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, check->values[1], 0, skip);
        return;
    case FILTER_NOT_ZERO:
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2);
        emit(p, BPF_LD | BPF_W | BPF_ABS, offset_of(check->argument, true), 0, 0);
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, skip, 0);
        return;
    }
}

static size_t test_len(const struct filter_check *check)
{
    switch (check->test) {
    case FILTER_ANY_OF:
    case FILTER_NONE_OF:
        return 1 + check->value_count;
    case FILTER_ANY_BIT:
    case FILTER_NO_BIT:
        return 2;
    case FILTER_OF_BITS:
        return 3;
    case FILTER_NOT_ZERO:
        return 4;
    }
    return 0;
}

/* At most 255 instructions, which is what a conditional jump can skip. */
static void emit_check(struct program *p, const struct filter_check *check)
{
    size_t rest = test_len(check) + 1; /* with what it answers */

    if (check->guard >= 0) {
        emit(p, BPF_LD | BPF_W | BPF_ABS, offset_of((unsigned)check->guard, false), 0, 0);
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, check->guard_value, 0, rest);
    }
    emit_test(p, check, 1);
    emit(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)check->error, 0, 0);
}

struct place {
    struct program *program;
    const struct filter_check *check;
    int call; /* whose section is being written */
};

static int emit_if_meant(int call, void *ctx)
{
    const struct place *at = ctx;

    if (call == at->call)
        emit_check(at->program, at->check);
    return 0;
}

static void emit_section(enum filter_kind kind, int call, struct program *p)
{
    size_t count;
    const struct filter_check *checks = filter_lists_checks(&count);

    for (size_t i = 0; i < count; i++)
        if (checks[i].kinds & (1u << kind))
            (void)each_call(checks[i].calls, emit_if_meant,
                            &(struct place){ p, &checks[i], call }); /* which can't fail */
    emit(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

static bool is_end(const struct sock_filter *at, uint32_t action)
{
    return at->code == (BPF_RET | BPF_K) && (at->k & SECCOMP_RET_ACTION_FULL) == action;
}

/* Adds our part behind libseccomp's, whose marks then lead there. */
static int add_arguments(enum filter_kind kind, const struct lists *lists, struct program *p)
{
    size_t starts[SECTIONS_MAX], lists_len = p->len;

    for (size_t i = 0; i < lists->call_count; i++) {
        starts[i] = p->len;
        emit_section(kind, lists->calls[i], p);
    }
    for (size_t i = 0; i < lists_len; i++) {
        size_t section = p->code[i].k & SECCOMP_RET_DATA;

        if (!is_end(&p->code[i], SECCOMP_RET_TRACE))
            continue;
        if (section >= lists->call_count)
            return -EINVAL;
        p->code[i] = (struct sock_filter){ .code = BPF_JMP | BPF_JA,
                                           .k = (uint32_t)(starts[section] - i - 1) };
    }
    return p->len > BPF_MAXINSNS ? -EMSGSIZE : 0;
}

/* ---- the whole ---- */

static void make_watched(struct filter *f)
{
    f->watched = f->usual;
    f->watched.code = mem_dup(f->usual.code, f->usual.len * sizeof f->usual.code[0]);
    for (size_t i = 0; i < f->watched.len; i++)
        if (is_end(&f->watched.code[i], SECCOMP_RET_ERRNO))
            f->watched.code[i].k = SECCOMP_RET_USER_NOTIF;
}

int filter_new(enum filter_kind kind, uint32_t calls, struct filter **ret_filter, struct err *err)
{
    CLEANUP_PTR(filter_free) struct filter *f = mem_new(struct filter);
    struct lists lists = { 0 };
    int r = compile_lists(kind, calls, &lists, &f->usual);

    if (r == 0)
        r = add_arguments(kind, &lists, &f->usual);
    if (r < 0)
        return err_set(err, r, "the system call filter can't be compiled: %s", strerror(-r));
    make_watched(f);
    *ret_filter = TAKE_PTR(f);
    return 0;
}

/* What the steps of a plan take that no task may have, and what a task is told. */
static const struct {
    int call, error;
} building[] = {
    { SYS_fsconfig, EPERM },   { SYS_fsmount, EPERM },       { SYS_fsopen, EPERM },
    { SYS_move_mount, EPERM }, { SYS_mount_setattr, EPERM }, { SYS_open_tree, EPERM },
    { SYS_openat2, ENOSYS },
};

struct filter *filter_first_part(const struct filter *task)
{
    struct filter *f = mem_new(struct filter);
    struct program *p = &f->usual;
    size_t left = ARRAY_SIZE(building);

    /* Their numbers mean other calls elsewhere: then it goes on to the task's program. */
    emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, left + 2);
    emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    for (size_t i = 0; left-- > 0; i++)
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)building[i].call, left, left > 0 ? 0 : 1);
    emit(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    for (size_t i = 0; i < task->usual.len; i++) {
        const struct sock_filter *at = &task->usual.code[i];

        emit(p, at->code, at->k, at->jt, at->jf);
    }
    make_watched(f);
    return f;
}

/* The lowest of their numbers. */
static uint32_t first_building(void)
{
    uint32_t first = UINT32_MAX;

    for (size_t i = 0; i < ARRAY_SIZE(building); i++)
        if ((uint32_t)building[i].call < first)
            first = (uint32_t)building[i].call;
    return first;
}

struct filter *filter_second_part(void)
{
    struct filter *f = mem_new(struct filter);
    struct program *p = &f->usual;

    emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    /* The kernel runs it for every call that there is when it is loaded: most are done with here.
     */
    emit(p, BPF_JMP | BPF_JGE | BPF_K, first_building(), 0, 2 * ARRAY_SIZE(building));
    for (size_t i = 0; i < ARRAY_SIZE(building); i++) {
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)building[i].call, 0, 1);
        emit(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)building[i].error, 0, 0);
    }
    emit(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    make_watched(f);
    return f;
}

void filter_free(struct filter *f)
{
    if (!f)
        return;
    free(f->usual.code);
    free(f->watched.code);
    free(f);
}

static int load(const struct program *p, unsigned flags)
{
    struct sock_fprog prog = { .len = (unsigned short)p->len, .filter = p->code };
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);

    return r < 0 ? -errno : (int)r;
}

int filter_load(const struct filter *f)
{
    return load(&f->usual, 0);
}

int filter_load_watched(const struct filter *f)
{
    return load(&f->watched, SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

const void *filter_bytes(const struct filter *f, size_t *ret_len)
{
    *ret_len = f->usual.len * sizeof f->usual.code[0];
    return f->usual.code;
}

/* ---- running it here ---- */

/* Where a conditional jump leads, from the instruction behind it. */
static size_t jump(const struct sock_filter *at, uint32_t a)
{
    bool holds = false;

    switch (BPF_OP(at->code)) {
    case BPF_JA:
        return at->k;
    case BPF_JEQ:
        holds = a == at->k;
        break;
    case BPF_JGT:
        holds = a > at->k;
        break;
    case BPF_JGE:
        holds = a >= at->k;
        break;
    case BPF_JSET:
        holds = (a & at->k) != 0;
        break;
    default:
        break; /* there are no others */
    }
    return holds ? at->jt : at->jf;
}

/* The action of a program that the kernel would take. What neither libseccomp nor we write kills.
 */
static uint32_t run(const struct program *p, const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (size_t pc = 0; pc < p->len; pc++) {
        const struct sock_filter *at = &p->code[pc];

        if (at->code == (BPF_LD | BPF_W | BPF_ABS) && at->k <= sizeof *data - sizeof a)
            memcpy(&a, (const char *)data + at->k, sizeof a);
        else if (at->code == (BPF_ALU | BPF_AND | BPF_K))
            a &= at->k;
        else if (BPF_CLASS(at->code) == BPF_JMP)
            pc += jump(at, a);
        else
            return at->code == (BPF_RET | BPF_K) ? at->k : SECCOMP_RET_KILL_PROCESS;
    }
    return SECCOMP_RET_KILL_PROCESS;
}

enum filter_answer filter_decide(const struct filter *f, const struct filter_call *call,
                                 int *ret_error)
{
    struct seccomp_data data = { .nr = call->number, .arch = seccomp_arch_native() };
    uint32_t action;

    memcpy(data.args, call->arguments, sizeof data.args);
    action = run(&f->usual, &data);
    if (action == SECCOMP_RET_ALLOW)
        return FILTER_ALLOWED;
    if ((action & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO)
        return FILTER_KILLED;
    *ret_error = (int)(action & SECCOMP_RET_DATA);
    return FILTER_REFUSED;
}
