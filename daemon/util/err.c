#include "util/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/utf8.h"

enum {
    ROOM = ERR_TEXT_MAX + 4, /* a character more, to see where the last one that fits ends */
    ERRNO_MAX = 4095,        /* the kernel's MAX_ERRNO */
};

/* Into a buffer of our own first: the arguments may point into the err that is being filled. */
__attribute__((format(printf, 2, 0))) static void format(char text[ROOM], const char *fmt,
                                                         va_list ap)
{
    if (vsnprintf(text, ROOM, fmt, ap) < 0)
        text[0] = '\0';
    text[utf8_cut(text, strlen(text), ERR_TEXT_MAX - 1)] = '\0';
}

int err_setv(struct err *err, int code, const char *fmt, va_list ap)
{
    char text[ROOM];

    if (err == NULL)
        return code;
    format(text, fmt, ap);
    err->code = code;
    memcpy(err->text, text, strlen(text) + 1);
    return code;
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)err_setv(err, code, fmt, ap); /* returns the code it was given */
    va_end(ap);
    return code;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    char prefix[ROOM], text[ERR_TEXT_MAX];
    size_t used, room, len;
    va_list ap;

    if (err == NULL)
        return 0;
    va_start(ap, fmt);
    format(prefix, fmt, ap);
    va_end(ap);
    used = strlen(prefix);
    memcpy(text, prefix, used);
    for (const char *s = ": "; *s != '\0' && used < ERR_TEXT_MAX - 1; s++)
        text[used++] = *s;
    room = ERR_TEXT_MAX - 1 - used;
    len = utf8_cut(err->text, strlen(err->text), room);
    memcpy(text + used, err->text, len);
    text[used + len] = '\0';
    memcpy(err->text, text, used + len + 1);
    return err->code;
}

bool err_is_errno(int error)
{
    return error < 0 && error >= -ERRNO_MAX;
}

bool err_is_shortage(int error)
{
    switch (-error) {
    case EAGAIN:
    case EINTR:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOLCK:
    case ENOMEM:
        return true;
    default:
        return false;
    }
}

static const char *machine_remedy(int error)
{
    switch (-error) {
    case EIO:
        return "look for disk errors in the kernel's log";
    case ENOSPC:
    case EDQUOT:
        return "make room on that file system";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (ulimit -n, LimitNOFILE=)";
    default:
        return err_is_shortage(error) ? "try again once the machine is less busy" : NULL;
    }
}

int err_set_machine(struct err *err, int error, const char *what, const char *thing)
{
    const char *remedy = machine_remedy(error);

    if (!remedy)
        return 0;
    return err_set(err, error, "%s '%s': %s; %s", what, thing, strerror(-error), remedy);
}
