/* The answer to a poll: whatever it is, there is a listing that keeps its promises or a sentence.
 */
#include "support/replay.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/listing.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/utf8.h"

static void check_id(const char *id)
{
    FUZZ_CHECK(id && strlen(id) >= 1 && strlen(id) <= 128 && !strchr(id, '/'));
    FUZZ_CHECK(strcmp(id, ".") != 0 && strcmp(id, "..") != 0);
    for (; *id; id++)
        FUZZ_CHECK(*id > ' ' && *id <= '~');
}

static void check_message(const struct listing_job *job, const struct task *t)
{
    CLEANUP_PTR(json_free) struct json *payload = NULL;

    check_id(t->id);
    check_id(t->ack_id);
    FUZZ_CHECK(strcmp(t->job_id, job->id) == 0);
    FUZZ_CHECK(t->state == TASK_RECEIVED && t->seq == 0 && t->attempt == 0 && !t->reply);
    FUZZ_CHECK(t->prompt && utf8_is_valid(t->prompt, strlen(t->prompt)));
    FUZZ_CHECK(!t->system_prompt || t->system_prompt[0]);
    FUZZ_CHECK(json_parse(t->payload, strlen(t->payload), &payload, NULL) == 0);
    FUZZ_CHECK(json_is_object(payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct listing l;
    struct err err = { 0 };
    int r = listing_parse((const char *)data, size, &l, &err);

    if (r < 0) {
        FUZZ_CHECK(r == -EBADMSG && err.code == r && err.text[0]);
        FUZZ_CHECK(utf8_is_valid(err.text, strlen(err.text)));
        return 0;
    }
    FUZZ_CHECK(l.problem_count <= 17);
    for (size_t i = 0; i < l.problem_count; i++)
        for (const char *c = l.problems[i].text; *c; c++)
            FUZZ_CHECK(*c >= ' ' && *c <= '~');
    for (size_t i = 0; i < l.job_count; i++) {
        check_id(l.jobs[i].id);
        for (size_t k = 0; k < l.jobs[i].message_count; k++)
            check_message(&l.jobs[i], l.jobs[i].messages[k]);
        if (l.jobs[i].message_count > 0)
            task_free(listing_take(&l.jobs[i], 0));
    }
    listing_done(&l);
    return 0;
}
