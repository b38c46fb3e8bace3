/* An envelope of the realtime channel: whatever it is, it is a message, the question for idle jobs,
 * or there is a sentence, and it never says more than a poll would. */
#include "support/replay.h"

#include <string.h>

#include "task/task.h"
#include "upstream/push.h"
#include "util/utf8.h"

static void check_id(const char *id)
{
    FUZZ_CHECK(id && strlen(id) >= 1 && strlen(id) <= 128 && !strchr(id, '/'));
    for (; *id; id++)
        FUZZ_CHECK(*id > ' ' && *id <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct push push = { 0 };

    push_parse((const char *)data, size, &push);
    FUZZ_CHECK(memchr(push.problem, '\0', sizeof push.problem));
    FUZZ_CHECK(utf8_is_valid(push.problem, strlen(push.problem)));
    FUZZ_CHECK(!push.check_idle || (!push.task && !push.unknown && !push.problem[0]));
    FUZZ_CHECK(!push.unknown || (!push.task && push.problem[0]));
    FUZZ_CHECK(!push.whole || push.task);
    if (push.task) {
        check_id(push.task->id);
        check_id(push.task->job_id);
        FUZZ_CHECK(push.task->state == TASK_RECEIVED && !push.task->reply);
        FUZZ_CHECK(utf8_is_valid(push.task->prompt, strlen(push.task->prompt)));
    }
    task_free(push.task);
    return 0;
}
