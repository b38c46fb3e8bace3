/* The answer to a poll: whatever it is, there is a listing that keeps its promises or a sentence.
 */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() isn't there in an optimised build. */
static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_id(const char *id)
{
    must(id && strlen(id) >= 1 && strlen(id) <= 128 && !strchr(id, '/'));
    must(strcmp(id, ".") != 0 && strcmp(id, "..") != 0);
    for (; *id; id++)
        must(*id > ' ' && *id <= '~');
}

static void check_message(const struct listing_job *job, const struct task *t)
{
    CLEANUP_PTR(json_free) struct json *payload = NULL;

    check_id(t->id);
    check_id(t->ack_id);
    must(strcmp(t->job_id, job->id) == 0);
    must(t->state == TASK_RECEIVED && t->seq == 0 && t->attempt == 0 && !t->reply);
    must(t->prompt && utf8_is_valid(t->prompt, strlen(t->prompt)));
    must(!t->system_prompt || t->system_prompt[0]);
    must(json_parse(t->payload, strlen(t->payload), &payload, NULL) == 0);
    must(json_is_object(payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct listing l;
    struct err err = { 0 };
    int r = listing_parse((const char *)data, size, &l, &err);

    if (r < 0) {
        must(r == -EBADMSG && err.code == r && err.text[0]);
        must(utf8_is_valid(err.text, strlen(err.text)));
        return 0;
    }
    must(l.problem_count <= 17);
    for (size_t i = 0; i < l.problem_count; i++)
        for (const char *c = l.problems[i].text; *c; c++)
            must(*c >= ' ' && *c <= '~');
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
