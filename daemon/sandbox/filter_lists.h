/* filter_lists.h - inner: which system calls each kind of process may make, as data. Both the
 * compiled filter and what is told of it come from here. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Names apart by one space; a name that this machine lacks is passed over. */
struct filter_group {
    unsigned kinds; /* bits 1 << FILTER_..., besides the tasks' */
    uint32_t calls; /* tasks whose profile names this group; the spawner has what any task has */
    const char *names;
};

enum filter_test {
    FILTER_ANY_OF,
    FILTER_NONE_OF,
    FILTER_ANY_BIT,
    FILTER_NO_BIT,
    FILTER_OF_BITS, /* of the first value's bits just the second one's */
    FILTER_NOT_ZERO
};

/* Refuses calls that a list allows, where an argument is such. The lower half of an argument is
 * looked at, which is all that the kernel takes of these, and all of it with FILTER_NOT_ZERO. */
struct filter_check {
    unsigned kinds;
    const char *calls;
    const char *words; /* "with AF_VSOCK", when it is refused */
    enum filter_test test;
    unsigned argument;
    int error;              /* 0: nothing is done, and the program is told that all is well */
    const uint32_t *values; /* bits: one, OF_BITS: two */
    size_t value_count;
    int guard; /* only where this argument is guard_value; -1: always */
    uint32_t guard_value;
};

const struct filter_group *filter_lists_allowed(size_t *ret_count);
/* Known, meant and refused: EPERM says so, where ENOSYS would say that the kernel is old. So are,
 * for a task, the groups that its profile doesn't name. */
const struct filter_group *filter_lists_refused(size_t *ret_count);
const struct filter_check *filter_lists_checks(size_t *ret_count);
