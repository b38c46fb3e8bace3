/* A datagram of the spawner's, as the daemon gets it: refused, or news whose end of a task is told
 * as it stands there. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "loop/loop.h"
#include "spawner/ipc.h"
#include "spawner/outlet.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"

static void on_exited(uint64_t task, const struct spawner_exit *end, void *ctx)
{
    FUZZ_CHECK(end->failed_to_start == err_is_errno(end->failure));
    FUZZ_CHECK(task == 7 && strlen(end->error) < sizeof end->error);
    FUZZ_CHECK((end->failed_to_start + end->not_found + end->stuck + end->oom) <= 4);
    loop_stop(ctx);
}

static void tell(const struct spawner_exit *end)
{
    static const struct spawner_ops ops = { .exited = on_exited };
    struct outlets all = { .ops = &ops };
    struct outlet *o;

    FUZZ_CHECK(loop_new(&all.loop, NULL) == 0);
    all.ctx = all.loop;
    o = outlet_new(&all, 7);
    outlet_end(o, end);
    loop_run(all.loop);
    FUZZ_CHECK(!all.first);
    loop_free(all.loop);
}

static void check_refusal(const struct gateway_word *w)
{
    char text[ERR_TEXT_MAX];

    FUZZ_CHECK(w->kind == GATEWAY_REFUSED);
    gateway_describe(w, text, sizeof text);
    FUZZ_CHECK(str_starts_with(text, "the task ") || str_starts_with(text, "the task's ") ||
               str_starts_with(text, "the broker "));
    FUZZ_CHECK(strstr(text, w->place) != NULL);
    for (const char *at = text; *at; at++)
        FUZZ_CHECK(*at >= ' ' && *at <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ipc_news news;
    int r = ipc_read_news(data, size, &news);

    if (r < 0) {
        FUZZ_CHECK(r == -EBADMSG);
        return 0;
    }
    FUZZ_CHECK(size == sizeof news &&
               memcmp(&news.task, data + offsetof(struct ipc_news, task), sizeof news.task) == 0);
    FUZZ_CHECK(news.type == IPC_READY || news.type == IPC_STARTED || news.type == IPC_REFUSED ||
               news.type == IPC_EXITED);
    if (news.type == IPC_REFUSED)
        check_refusal(&news.refusal);
    if (news.type == IPC_EXITED)
        tell(&news.exit);
    return 0;
}
