/* Where libFuzzer isn't: runs a fuzz target over the files of a folder, so that what was once found
 * stays found. replay FOLDER; fails if the folder holds nothing. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

enum { INPUT_MAX = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(const char *path)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct err err = { 0 };
    AUTO_FREE uint8_t *exact = NULL;

    if (fd_read_file(path, INPUT_MAX, &b, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%s\n", path);
    exact = mem_dup(buf_str(&b), b.len); /* without the room that a buffer keeps at its end */
    (void)LLVMFuzzerTestOneInput(exact, b.len); /* aborts if it finds something; returns 0 always */
    return 0;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    int failed = 0, count = 0;

    if (!dir) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 64;
    }
    while ((entry = readdir(dir)) != NULL) {
        AUTO_FREE char *path = mem_printf("%s/%s", argv[1], entry->d_name);

        if (entry->d_name[0] == '.')
            continue;
        failed |= run(path);
        count++;
    }
    (void)closedir(dir); /* it was only read */
    printf("%d inputs\n", count);
    return failed || count == 0;
}
