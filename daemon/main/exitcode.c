#include "main/exitcode.h"

#include <errno.h>
#include <stddef.h>

#include "util/cleanup.h"
#include "util/err.h"

static const struct {
    int error;
    int code;
} codes[] = {
    { EACCES, EX_CANTCREAT },
    { EPERM, EX_CANTCREAT },
    { EROFS, EX_CANTCREAT },
    { ENOENT, EX_CANTCREAT },
    { ENOTDIR, EX_CANTCREAT },
    { EEXIST, EX_CANTCREAT },
    { ELOOP, EX_CANTCREAT },
    { ENAMETOOLONG, EX_CANTCREAT },
    { EADDRINUSE, EX_TEMPFAIL },
    { EIO, EX_IOERR },
    { ENOSPC, EX_IOERR },
    { EDQUOT, EX_IOERR },
    { EAGAIN, EX_TEMPFAIL },
    { EBUSY, EX_TEMPFAIL },
    { EINTR, EX_TEMPFAIL },
    { EMFILE, EX_TEMPFAIL },
    { ENFILE, EX_TEMPFAIL },
    { ENOBUFS, EX_TEMPFAIL },
    { ENOLCK, EX_TEMPFAIL },
    { ENOMEM, EX_TEMPFAIL },
    { ECONNREFUSED, EX_UNAVAILABLE },
    { EHOSTUNREACH, EX_UNAVAILABLE },
    { ETIMEDOUT, EX_UNAVAILABLE },
    { ENETUNREACH, EX_UNAVAILABLE },
    { EINVAL, EX_CONFIG },
    { EBADMSG, EX_CONFIG },
    { ENOTSUP, EX_CONFIG },
    { ENOKEY, EX_CONFIG },
    { EKEYREJECTED, EX_CONFIG },
};

int exitcode_from_errno(int error)
{
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].error == -error)
            return codes[i].code;
    return error == 0 ? EX_OK : EX_SOFTWARE;
}

int exitcode_from_setting(int error)
{
    int code = exitcode_from_errno(error);

    return err_is_shortage(error) || code == EX_IOERR ? code : EX_CONFIG;
}

int exitcode_from_start(int error)
{
    switch (-error) {
    case EBUSY:     /* what an earlier spawner left still dies */
    case ECHILD:    /* a process ended that should not */
    case EPIPE:     /* the spawner did */
    case ETIMEDOUT: /* the machine is slow */
        return EX_TEMPFAIL;
    default:
        return exitcode_from_setting(error);
    }
}

bool exitcode_is_transient(int code)
{
    return code == EX_UNAVAILABLE || code == EX_SOFTWARE || code == EX_IOERR || code == EX_TEMPFAIL;
}
