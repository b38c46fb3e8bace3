/* The settings file: whatever is in it, there are settings or a sentence that names the file. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "settings/document.h"
#include "settings/settings.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_CLOSE int fd = memfd_create("settings", MFD_CLOEXEC);
    AUTO_FREE char *path = mem_printf("/proc/self/fd/%d", fd);
    const struct settings_input input = { .file = path, .uid = 0 };
    struct settings s;
    struct err err = { 0 };
    int r;

    FUZZ_CHECK(fd >= 0 && fchmod(fd, 0600) == 0);
    r = fd_write_all(fd, data, size);
    FUZZ_CHECK(r == 0);
    r = settings_load(&input, &s, &err);
    if (r == 0) {
        CLEANUP(buf_done) struct buf b = { 0 };

        settings_print(&s, &b);
        FUZZ_CHECK(s.max_concurrency >= 1 && s.sandbox_network_mode && s.workspace_root);
        r = settings_check(&s, &err);
        FUZZ_CHECK(r == 0 || (r == -EINVAL && *err.text));
        settings_done(&s);
    } else {
        FUZZ_CHECK(r == err.code && strstr(err.text, path));
        FUZZ_CHECK(utf8_is_valid(err.text, strlen(err.text)));
    }
    return 0;
}
