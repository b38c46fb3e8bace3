#include "support/children.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "util/cleanup.h"
#include "util/mem.h"

size_t children_of(pid_t parent, pid_t *pids, size_t most)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry;
    size_t count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        AUTO_FREE char *path = mem_printf("/proc/%s/stat", entry->d_name);
        FILE *file = strtol(entry->d_name, NULL, 10) > 0 ? fopen(path, "re") : NULL;
        char line[512] = "";
        const char *end;
        int ppid;

        if (!file)
            continue;
        end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        (void)fclose(file); /* it was only read */
        if (end && sscanf(end + 1, " %*c %d", &ppid) == 1 && ppid == parent && count < most)
            pids[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    (void)closedir(dir); /* likewise */
    return count;
}
