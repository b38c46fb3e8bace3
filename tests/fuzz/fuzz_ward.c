/* What a sandbox's process 1 reports to the spawner, a struct apply_report each: whatever it says,
 * the task's end is told in a text, and it is started once at most. */
#include "support/replay.h"

#include <string.h>
#include <sys/socket.h>

#include "sandbox/plan.h"
#include "settings/profile.h"
#include "spawner/ward.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/str.h"

static struct plan *make_plan(void)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    CLEANUP_PTR(profile_free) struct profile *profile = NULL;
    struct plan_policy policy = { .workspace = "/srv/w", .argv = &argv, .uid = 1000 };
    struct plan *p = NULL;

    FUZZ_CHECK(profile_load("agent", &profile, NULL) == 0);
    policy.profile = profile;
    strv_add(&argv, "sh");
    FUZZ_CHECK(plan_make(&policy, &p, NULL) == 0);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ward *w = ward_new(1); /* without a process: nothing that could be killed or mapped */
    int pair[2];

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    FUZZ_CHECK(fd_set_nonblock(pair[0]) == 0);
    w->at.control = pair[0];
    w->plan = make_plan();
    while (size > 0 && w->at.control >= 0) {
        size_t len = size < sizeof(struct apply_report) ? size : sizeof(struct apply_report);
        bool had_started = w->started_due;

        FUZZ_CHECK(fd_send(pair[1], data, len, NULL, 0) == 0);
        ward_read(w);
        FUZZ_CHECK(strnlen(w->exit.error, sizeof w->exit.error) < sizeof w->exit.error);
        FUZZ_CHECK(w->exit.failed_to_start == err_is_errno(w->exit.failure));
        FUZZ_CHECK(!w->exit.failed_to_start || w->exit.error[0]);
        FUZZ_CHECK(!had_started || w->started_due);
        FUZZ_CHECK(!w->started_due || !w->plan); /* it holds the task's secrets */
        data += len;
        size -= len;
    }
    (void)close(pair[1]);
    ward_read(w);
    FUZZ_CHECK(w->at.control < 0);
    ward_free(w);
    return 0;
}
