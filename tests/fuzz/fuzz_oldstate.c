/* The present daemon's state file: whatever is in it, what is made of it is within its bounds, and
 * what isn't JSON is refused with a sentence. */
#include "support/replay.h"

#include "store/oldstate.h"
#include "store/store.h"
#include "util/cleanup.h"
#include "util/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(oldstate_done) struct oldstate s = { 0 };
    struct err err = { 0 };
    int r = oldstate_read((const char *)data, size, "claude", 1777636800000, &s, &err);

    if (r < 0) {
        FUZZ_CHECK(err.text[0] != '\0' && !s.batch);
        return 0;
    }
    FUZZ_CHECK(s.batch && s.waiting + s.expired <= OLDSTATE_MESSAGES_MAX);
    FUZZ_CHECK(s.seen <= OLDSTATE_SEEN_MAX && s.sessions <= OLDSTATE_SESSIONS_MAX);
    FUZZ_CHECK(!s.instance_id[0] || ulid_has_prefix(s.instance_id, "ccaid"));
    FUZZ_CHECK(store_batch_is_empty(s.batch) == (s.waiting + s.expired + s.seen + s.sessions == 0));
    return 0;
}
