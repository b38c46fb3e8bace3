#include "sandbox/profile.h"

#define READ_ONLY(profiles_, path)                                                                 \
    {                                                                                              \
        .profiles = profiles_, .type = PLAN_STEP_BIND, .target = path, .text = path,               \
        .flags = PLAN_OPTIONAL                                                                     \
    }
#define SYSTEM(path)                                                                               \
    {                                                                                              \
        .profiles = PROFILE_ALL, .type = PLAN_STEP_BIND, .target = path, .text = path,             \
        .flags = PLAN_OPTIONAL | PLAN_MIRROR                                                       \
    }
#define NODE(path)                                                                                 \
    {                                                                                              \
        .profiles = PROFILE_ALL, .type = PLAN_STEP_BIND, .target = path, .text = path,             \
        .flags = PLAN_DEVICE | PLAN_WRITABLE | PLAN_NOEXEC                                         \
    }
#define LINK(profiles_, path, to)                                                                  \
    {                                                                                              \
        .profiles = profiles_, .type = PLAN_STEP_LINK, .target = path, .text = to                  \
    }
#define TEXT(path, contents)                                                                       \
    {                                                                                              \
        .profiles = NOT_HOST, .type = PLAN_STEP_FILE, .target = path, .text = contents,            \
        .mode = 0444                                                                               \
    }

#define NOT_HOST (PROFILE_STRICT | PROFILE_AGENT)

/* clang-format off */
static const struct profile_row rows[] = {
    { .profiles = PROFILE_ALL, .type = PLAN_STEP_BIND, .target = "/usr", .text = "/usr" },
    SYSTEM("/bin"), SYSTEM("/sbin"), SYSTEM("/lib"), SYSTEM("/lib32"), SYSTEM("/lib64"),
    SYSTEM("/libx32"),
    READ_ONLY(PROFILE_HOST, "/opt"), READ_ONLY(PROFILE_HOST, "/srv"),
    READ_ONLY(PROFILE_HOST, "/nix"), READ_ONLY(PROFILE_HOST, "/snap"),

    /* To start at all: the loader's cache, who is who, names, certificates, the time. */
    READ_ONLY(PROFILE_HOST, "/etc"),
    READ_ONLY(NOT_HOST, "/etc/ld.so.cache"), READ_ONLY(NOT_HOST, "/etc/alternatives"),
    READ_ONLY(NOT_HOST, "/etc/nsswitch.conf"), READ_ONLY(NOT_HOST, "/etc/resolv.conf"),
    READ_ONLY(NOT_HOST, "/etc/host.conf"), READ_ONLY(NOT_HOST, "/etc/gai.conf"),
    READ_ONLY(NOT_HOST, "/etc/protocols"), READ_ONLY(NOT_HOST, "/etc/services"),
    READ_ONLY(NOT_HOST, "/etc/localtime"), READ_ONLY(NOT_HOST, "/etc/timezone"),
    READ_ONLY(NOT_HOST, "/etc/os-release"), READ_ONLY(NOT_HOST, "/etc/debian_version"),
    READ_ONLY(NOT_HOST, "/etc/ssl/certs"), READ_ONLY(NOT_HOST, "/etc/ssl/openssl.cnf"),
    READ_ONLY(NOT_HOST, "/etc/pki/tls/certs"), READ_ONLY(NOT_HOST, "/etc/pki/ca-trust/extracted"),
    READ_ONLY(NOT_HOST, "/etc/crypto-policies"),
    /* What compilers and interpreters look up. No /etc/gitconfig, npmrc, pip.conf, netrc: such
     * files hold credentials and hooks. */
    READ_ONLY(PROFILE_AGENT, "/etc/ld.so.conf"), READ_ONLY(PROFILE_AGENT, "/etc/ld.so.conf.d"),
    READ_ONLY(PROFILE_AGENT, "/etc/python3"), READ_ONLY(PROFILE_AGENT, "/etc/python3.11"),
    READ_ONLY(PROFILE_AGENT, "/etc/perl"), READ_ONLY(PROFILE_AGENT, "/etc/java-11-openjdk"),
    READ_ONLY(PROFILE_AGENT, "/etc/java-17-openjdk"),
    READ_ONLY(PROFILE_AGENT, "/etc/java-21-openjdk"),
    READ_ONLY(PROFILE_AGENT, "/etc/fonts"), READ_ONLY(PROFILE_AGENT, "/etc/mime.types"),
    READ_ONLY(PROFILE_AGENT, "/etc/magic"), READ_ONLY(PROFILE_AGENT, "/etc/terminfo"),
    READ_ONLY(PROFILE_AGENT, "/etc/inputrc"),
    LINK(NOT_HOST, "/etc/mtab", "/proc/self/mounts"),
    /* Made here, so that no account of the host is named. */
    TEXT("/etc/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                        "agent:x:1000:1000:agent:" PLAN_HOME ":/bin/sh\n"
                        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"),
    TEXT("/etc/group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"),
    TEXT("/etc/hosts", "127.0.0.1 localhost " PLAN_HOSTNAME "\n::1 localhost ip6-localhost\n"),

    { .profiles = PROFILE_ALL, .type = PLAN_STEP_PROC, .target = "/proc" },
    NODE("/dev/null"), NODE("/dev/zero"), NODE("/dev/full"), NODE("/dev/random"),
    NODE("/dev/urandom"), NODE("/dev/tty"),
    LINK(PROFILE_ALL, "/dev/fd", "/proc/self/fd"), LINK(PROFILE_ALL, "/dev/stdin", "/proc/self/fd/0"),
    LINK(PROFILE_ALL, "/dev/stdout", "/proc/self/fd/1"),
    LINK(PROFILE_ALL, "/dev/stderr", "/proc/self/fd/2"),
    { .profiles = PROFILE_AGENT | PROFILE_HOST, .type = PLAN_STEP_DEVPTS, .target = "/dev/pts" },
    LINK(PROFILE_AGENT | PROFILE_HOST, "/dev/ptmx", "pts/ptmx"),
};
/* clang-format on */

const struct profile_row *profile_rows(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(rows);
    return rows;
}

unsigned profile_bit(enum plan_profile profile)
{
    return 1u << profile;
}
