/* Gives each file of each folder named on the command line to the fuzz target it is linked with:
 * what libFuzzer does with a corpus, without libFuzzer. Fails if there was no file at all. */
#include "support/replay.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

enum { INPUT_MAX = 16 * 1024 * 1024 };

static int replay_file(const char *path)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE uint8_t *exact = NULL; /* so that a read past the end is seen */
    struct err err = { 0 };

    if (fd_read_file(path, INPUT_MAX, &b, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    (void)printf("%s\n", path);
    (void)fflush(stdout); /* the name is needed if the next call doesn't come back */
    exact = malloc(b.len > 0 ? b.len : 1);
    if (exact == NULL)
        return -1;
    if (b.len > 0)
        memcpy(exact, b.data, b.len);
    return LLVMFuzzerTestOneInput(exact, b.len);
}

/* How many files there were, or -1. */
static int replay_folder(const char *folder)
{
    DIR *d = opendir(folder);
    int count = 0, failed = 0;

    if (d == NULL) {
        perror(folder);
        return -1;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        AUTO_FREE char *path = mem_printf("%s/%s", folder, e->d_name);

        if (e->d_name[0] == '.')
            continue;
        count++;
        failed |= replay_file(path) != 0;
    }
    (void)closedir(d);
    return failed ? -1 : count;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);

        if (count < 0)
            return 1;
        total += count;
    }
    (void)printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
