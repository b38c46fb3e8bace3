/* The file with the agent key: refused with a sentence, or one line that fits
 * into a header. */
#include "support/replay.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "settings/agentkey.h"
#include "settings/settings.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

static char *fuzz_dir;

static void remove_dir(void)
{
    tempdir_free(fuzz_dir);
}

static char *key_path(void)
{
    if (!fuzz_dir) {
        fuzz_dir = tempdir_new();
        (void)atexit(remove_dir);
    }
    return mem_printf("%s/key", fuzz_dir);
}

static void check_key(const struct secret *key, const uint8_t *data, size_t size)
{
    const char *text = secret_text(key);

    FUZZ_CHECK(secret_len(key) == strlen(text) && text[0] && strlen(text) <= SECRET_MAX);
    FUZZ_CHECK(strlen(text) <= size && memcmp(text, data, strlen(text)) == 0);
    FUZZ_CHECK(!str_starts_with(text, "nr_"));
    for (const char *c = text; *c; c++)
        FUZZ_CHECK(*c > ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *path = key_path();
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const struct settings s = { .api_key_file = path };
    struct agentkey k = { 0 };
    struct err err = { 0 };
    int r;

    FUZZ_CHECK(secret_setup() == 0);
    FUZZ_CHECK(fd >= 0 && fd_write_all(fd, data, size) == 0);
    r = agentkey_load(&s, NULL, &k, &err);
    if (r == 0) {
        check_key(k.key, data, size);
        agentkey_done(&k);
        return 0;
    }
    FUZZ_CHECK(r == err.code && err.text[0] && !k.key);
    return 0;
}
