/* filter_explain() and filter_name() of filter.h. */
#include "sandbox/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/filter_lists.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/mem.h"
#include "util/str.h"

const char *filter_error_name(int error)
{
    switch (error) {
    case 0:
        return "success, though nothing is done";
    case EPERM:
        return "EPERM";
    case ENOSYS:
        return "ENOSYS";
    case EINVAL:
        return "EINVAL";
    case EAFNOSUPPORT:
        return "EAFNOSUPPORT";
    case EPROTONOSUPPORT:
        return "EPROTONOSUPPORT";
    default:
        return "an error";
    }
}

/* The names that this machine knows, as in " read write". */
static void print_names(const char *names, struct buf *b)
{
    AUTO_FREE char *copy = mem_strdup(names);
    char *rest = copy, *name;

    while ((name = strsep(&rest, " ")))
        if (seccomp_syscall_resolve_name(name) >= 0)
            buf_printf(b, " %s", name);
}

static void explain_check(const struct filter_check *check, struct buf *b)
{
    buf_append_str(b, "condition ");
    print_names(check->calls, b);
    if (check->error)
        buf_printf(b, " %s: %s [every task]\n", check->words, filter_error_name(check->error));
    else
        buf_printf(b, " %s: nothing is done, and the answer is success [every task]\n",
                   check->words);
}

void filter_explain(uint32_t calls, const char *origin, struct buf *b)
{
    size_t allowed_count, refused_count, check_count;
    const struct filter_group *allowed = filter_lists_allowed(&allowed_count);
    const struct filter_group *refused = filter_lists_refused(&refused_count);
    const struct filter_check *checks = filter_lists_checks(&check_count);
    const char *name;

    for (size_t i = 0; (name = profile_calls_name(i)); i++) {
        for (size_t k = 0; k < allowed_count; k++) {
            if (!(allowed[k].calls & (1u << i)))
                continue;
            buf_printf(b, "%s %s:", calls & (1u << i) ? "calls     " : "refused   ",
                       calls & (1u << i) ? name : "EPERM");
            print_names(allowed[k].names, b);
            buf_printf(b, " [%s]\n", origin);
        }
    }
    for (size_t i = 0; i < check_count; i++)
        if (checks[i].kinds & (1u << FILTER_TASK))
            explain_check(&checks[i], b);
    for (size_t i = 0; i < refused_count; i++) {
        if (!(refused[i].kinds & (1u << FILTER_TASK)))
            continue;
        buf_append_str(b, "refused    EPERM:");
        print_names(refused[i].names, b);
        buf_append_str(b, " [every task]\n");
    }
    buf_append_str(b,
                   "refused    ENOSYS: every other call, clone3, openat2 and io_uring among them "
                   "[every task]\n"
                   "refused    the process is killed: a call in another ABI (32 bit, x32) [every "
                   "task]\n");
}

/* ---- one call ---- */

static bool holds(const struct filter_check *check, const struct filter_call *call)
{
    uint64_t whole = call->arguments[check->argument];
    uint32_t value = (uint32_t)whole;
    bool is_one_of = false;

    if (check->guard >= 0 && (uint32_t)call->arguments[check->guard] != check->guard_value)
        return false;
    for (size_t i = 0; i < check->value_count; i++)
        is_one_of |= check->values[i] == value;
    switch (check->test) {
    case FILTER_ANY_OF:
        return is_one_of;
    case FILTER_NONE_OF:
        return !is_one_of;
    case FILTER_ANY_BIT:
        return (value & check->values[0]) != 0;
    case FILTER_NO_BIT:
        return (value & check->values[0]) == 0;
    case FILTER_OF_BITS:
        return (value & check->values[0]) == check->values[1];
    case FILTER_NOT_ZERO:
        return whole != 0;
    }
    return false;
}

static bool names_call(const char *names, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = names; (at = strstr(at, name)); at += len)
        if ((at == names || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

void filter_name(const struct filter_call *call, struct buf *b)
{
    AUTO_FREE char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call->number);
    size_t count;
    const struct filter_check *checks = filter_lists_checks(&count);

    if (!name) {
        buf_printf(b, "call %d", call->number);
        return;
    }
    buf_append_str(b, name);
    for (size_t i = 0; i < count; i++) {
        if (!(checks[i].kinds & (1u << FILTER_TASK)) || !names_call(checks[i].calls, name) ||
            !holds(&checks[i], call))
            continue;
        buf_printf(b, " %s", checks[i].words);
        return; /* the first one is the one that answers */
    }
}
