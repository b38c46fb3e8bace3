#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/firm.h"
#include "sandbox/plan.h"

/* linux/landlock.h of newer kernels than the one whose headers we may be built with. */
#define FS_TRUNCATE           (1ULL << 14) /* ABI 3 */
#define FS_IOCTL_DEV          (1ULL << 15) /* ABI 5 */
#define NET_BIND_TCP          (1ULL << 0)  /* ABI 4 */
#define NET_CONNECT_TCP       (1ULL << 1)  /* ABI 4 */
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0)  /* ABI 6 */
#define SCOPE_SIGNAL          (1ULL << 1)  /* ABI 6 */

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

/* What a rule on something that isn't a directory may hold. */
static const uint64_t file_rights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                    LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV;

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi < 0 ? -errno : (int)abi;
}

static uint64_t handled_fs(int abi)
{
    uint64_t handled = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* all thirteen of ABI 1 */

    if (abi >= 2)
        handled |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        handled |= FS_TRUNCATE;
    if (abi >= 5)
        handled |= FS_IOCTL_DEV;
    return handled;
}

static uint64_t scopes(int abi)
{
    return abi >= 6 ? SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL : 0;
}

static uint64_t tcp(int abi)
{
    return abi >= 4 ? NET_BIND_TCP | NET_CONNECT_TCP : 0;
}

static uint64_t rights_to_fs(uint32_t rights)
{
    uint64_t fs = 0;

    if (rights & PLAN_MAY_LIST)
        fs |= LANDLOCK_ACCESS_FS_READ_DIR;
    if (rights & PLAN_MAY_READ)
        fs |= LANDLOCK_ACCESS_FS_READ_FILE;
    if (rights & PLAN_MAY_EXECUTE)
        fs |= LANDLOCK_ACCESS_FS_EXECUTE;
    if (rights & PLAN_MAY_WRITE)
        fs |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
    if (rights & PLAN_MAY_CHANGE)
        fs |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
              LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
              LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
              LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
    return fs;
}

size_t landlock_firm(const struct plan_rule *rules, size_t count, const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < count; i++)
        if (rules[i].rights & PLAN_MAY_CHANGE)
            len = firm_len(path, len, rules[i].path);
    return len;
}

int landlock_allow(int ruleset, const struct plan_rule *rule, size_t len, int abi)
{
    struct landlock_path_beneath_attr attr = { .allowed_access =
                                                   rights_to_fs(rule->rights) & handled_fs(abi) };
    AUTO_CLOSE int fd = firm_open(-1, rule->path, len);
    struct stat st;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        attr.allowed_access &= file_rights;
    if (attr.allowed_access == 0)
        return 0;
    attr.parent_fd = fd;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0)
        return -errno;
    return 0;
}

/* The kernel takes a longer struct than it knows as long as the rest is zero. */
static int make_ruleset(uint64_t fs, uint64_t net, uint64_t scoped)
{
    struct ruleset_attr attr = { .handled_access_fs = fs,
                                 .handled_access_net = net,
                                 .scoped = scoped };
    long fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);

    return fd < 0 ? -errno : (int)fd;
}

int landlock_new(int abi, unsigned flags)
{
    return make_ruleset(handled_fs(abi), flags & LANDLOCK_NO_TCP ? tcp(abi) : 0,
                        flags & LANDLOCK_SCOPED ? scopes(abi) : 0);
}

int landlock_restrict(int ruleset)
{
    return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

int landlock_enter(const struct plan_rule *rules, size_t count, int abi, unsigned flags,
                   size_t *ret_rule)
{
    AUTO_CLOSE int ruleset = landlock_new(abi, flags);
    size_t i = 0;
    int r = ruleset < 0 ? ruleset : 0;

    for (; r == 0 && i < count; i++) {
        const char *path = rules[i].path;

        r = landlock_allow(ruleset, &rules[i],
                           flags & LANDLOCK_FIRM ? landlock_firm(rules, count, path) : strlen(path),
                           abi);
        if (r == -ENOENT)
            r = 0;
        if (r < 0)
            break;
    }
    if (r == 0)
        r = landlock_restrict(ruleset);
    if (r < 0 && ret_rule)
        *ret_rule = ruleset < 0 ? count : i;
    return r;
}

int landlock_enter_scopes(int abi)
{
    struct landlock_path_beneath_attr attr = { .allowed_access = LANDLOCK_ACCESS_FS_REFER };
    AUTO_CLOSE int ruleset = -1, root = -1;

    if (scopes(abi) == 0)
        return 0;
    /* landlock(7): what isn't handled is allowed, but for this, which each ruleset forbids that
     * doesn't allow it: renaming across directories would be over for good. */
    ruleset = make_ruleset(LANDLOCK_ACCESS_FS_REFER, 0, scopes(abi));
    if (ruleset < 0)
        return ruleset;
    root = open("/", O_PATH | O_CLOEXEC);
    if (root < 0)
        return -errno;
    attr.parent_fd = root;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 ||
        syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return -errno;
    return 0;
}
