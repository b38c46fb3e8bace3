/* What a survey meets in a hostile directory: a path up to a NUL, a link's target up to a NUL, then
 * a file's contents. Whatever they are, there is an answer; a name below a .git is never another
 * program's, what only looks like one hides nothing, and contents that are cut anywhere don't make
 * the reader run past them. */
#include "support/replay.h"

#include <string.h>

#include "support/input.h"
#include "task/planted.h"
#include "util/cleanup.h"
#include "util/mem.h"

static void check_path(const char *path)
{
    const char *slash = strchr(path, '/');
    struct planted_place place = { .path = path, .git = PLANTED_NOWHERE };
    const struct planted_row *row = planted_find(&place);

    FUZZ_CHECK(!row || row->kind < PLANTED_KIND_COUNT);
    place.package = true;
    row = planted_find(&place);
    FUZZ_CHECK(!row || row->kind == PLANTED_GIT_LINK);
    place.package = false;
    if (!slash)
        return;
    place.top = place.git = (size_t)(slash - path) + 1;
    row = planted_find(&place);
    FUZZ_CHECK(!row || !planted_is_in_git(path) || row->kind == PLANTED_GIT_HOOK ||
               row->kind == PLANTED_GIT_CONFIG || row->kind == PLANTED_GIT_LINK ||
               row->kind == PLANTED_GIT_ATTRIBUTES);
    place.git = PLANTED_NOWHERE;
    FUZZ_CHECK(row || planted_is_in_git(path) || !planted_find(&place)); /* it hides nothing */
    (void)planted_find_link(&place);
    (void)planted_is_of_top(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    AUTO_FREE char *path = input_until(&in, '\0');
    AUTO_FREE char *target = input_until(&in, '\0');
    AUTO_FREE char *contents = mem_alloc(in.left > 0 ? in.left : 1); /* no NUL after it */

    memcpy(contents, in.at, in.left);
    check_path(path);
    (void)planted_is_odd_name(path);
    if (target[0] == '/')
        FUZZ_CHECK(planted_leads_out(path, target) || strncmp(target, "/etc", 4) != 0);
    (void)planted_leads_out(path, target);
    FUZZ_CHECK(planted_is_live(PLANTED_ALWAYS, path, contents, in.left));
    (void)planted_is_live(PLANTED_BY_CONFIG, path, contents, in.left);
    (void)planted_is_live(PLANTED_BY_ATTRIBUTES, path, contents, in.left);
    (void)planted_is_live(PLANTED_BY_TARGET, path, contents, in.left);
    return 0;
}
