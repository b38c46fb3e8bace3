#include "sandbox/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAP_COUNT_MAX = 64 };

int caps_empty_bounds(void)
{
    for (unsigned long cap = 0; cap < CAP_COUNT_MAX; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap) == 0 || errno == EPERM)
            continue; /* EPERM: not ours to drop, nor to gain */
        if (errno != EINVAL)
            return -errno;
        break; /* past the last one */
    }
    return 0;
}

int caps_keep_sets(uint64_t mask)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0ul, 0ul, 0ul) < 0)
        return -errno;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= (uint32_t)(mask >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) < 0)
        return -errno;
    return 0;
}

int caps_keep(uint64_t mask)
{
    int r = caps_empty_bounds();

    return r < 0 ? r : caps_keep_sets(mask);
}

int caps_lock(void)
{
    const unsigned long secure = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                                 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

    return prctl(PR_SET_SECUREBITS, secure) < 0 ? -errno : 0;
}

int caps_drop_all(void)
{
    int r = caps_lock();

    return r < 0 ? r : caps_keep(0);
}
