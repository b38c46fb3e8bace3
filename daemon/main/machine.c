#include "main/machine.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

#define PATH "/etc/machine-id"

bool machine_id(const char *path, char ret_id[MACHINE_ID_MAX])
{
    AUTO_CLOSE int fd = open(path ? path : PATH, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char id[MACHINE_ID_MAX] = { 0 };

    if (fd < 0 || read(fd, id, MACHINE_ID_MAX - 1) != MACHINE_ID_MAX - 1 ||
        strspn(id, "0123456789abcdef") != MACHINE_ID_MAX - 1) /* also "uninitialized" */
        return false;
    memcpy(ret_id, id, MACHINE_ID_MAX);
    return true;
}
