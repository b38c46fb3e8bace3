/* The archive of a skill, and the text of its SKILL.md alone. What is taken has a name and a
 * description within their bounds; what isn't is refused with a sentence. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "hub/skillzip.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/utf8.h"

static void check(int rc, struct skillzip *s, const struct err *err)
{
    if (rc < 0) {
        FUZZ_CHECK(rc == -EBADMSG && err->code == rc && err->text[0] != '\0');
        FUZZ_CHECK(utf8_is_valid(err->text, strlen(err->text)));
        return;
    }
    FUZZ_CHECK(strlen(s->name) >= 1 && strlen(s->name) <= SKILLZIP_NAME_MAX);
    FUZZ_CHECK(strlen(s->description) >= 1 && strlen(s->description) <= SKILLZIP_DESCRIPTION_MAX);
    FUZZ_CHECK(utf8_is_valid(s->description, strlen(s->description)));
    skillzip_done(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct skillzip s = { 0 };
    struct err err = { 0 };
    AUTO_CLOSE int fd = fd_memfile("skill", data, size);
    int rc;

    FUZZ_CHECK(fd >= 0);
    rc = skillzip_read(fd, &s, &err);
    check(rc, &s, &err);
    err = (struct err){ 0 };
    rc = skillzip_read_page((const char *)data, size, &s, &err);
    check(rc, &s, &err);
    return 0;
}
