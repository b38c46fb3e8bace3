#include "sim/parcels.h"

#include <stdio.h>
#include <string.h>

#include "core/ending.h"
#include "sim/check.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "util/str.h"

void parcels_empty(struct side *side, uint32_t job)
{
    side->parcels.outbox[job].count = 0;
}

uint32_t parcels_leave(struct side *side, uint32_t job, uint32_t count)
{
    struct parcels *p = &side->parcels;

    p->outbox[job].tag = ++p->made * 2 + side->number; /* no two machines have the same */
    p->outbox[job].count = count;
    return p->outbox[job].tag;
}

void parcels_gather(struct sim *sim, struct side *side, uint64_t seq)
{
    const struct task *t = core_task(side->core, seq);
    struct parcels *p = &side->parcels;
    uint32_t message = t ? server_message_of(t->id) : 0;
    uint32_t job = sim->server.messages[message].job;

    if (!t || t->unsent == 0 || p->aside[message].seq == seq)
        return; /* it isn't ours any more, or an earlier life has done it */
    p->aside[message].seq = seq;
    p->aside[message].tag = p->outbox[job].tag;
    p->aside[message].count = p->outbox[job].count;
    p->outbox[job].count = 0;
}

void parcels_discard(struct sim *sim, struct side *side, uint64_t seq)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        const struct task *row = side->disk.rows[i];

        if (side->parcels.aside[i].seq != seq)
            continue;
        side->parcels.aside[i].seq = 0;
        if (!sim->blind && row && row->seq == seq && row->unsent > 0)
            check_fail(sim, side, "files of m%02u are removed, and the journal wants them", i);
    }
}

void parcels_send(struct sim *sim, struct side *side, const struct task *t, struct request *r)
{
    const struct parcels *p = &side->parcels;
    uint32_t count = p->aside[r->message].count;

    r->tag = p->aside[r->message].tag;
    r->file = t->unsent - 1;
    r->more = r->file + 1 < count;
    if (p->aside[r->message].seq != t->seq || r->file >= count)
        check_fail(sim, side, "file %u of m%02u goes out, and %u are set aside", r->file,
                   r->message, p->aside[r->message].seq == t->seq ? count : 0);
}

const char *parcels_id(const struct request *r, char id[FILE_ID_MAX])
{
    (void)snprintf(id, FILE_ID_MAX, "att_%u_%u", r->tag, r->file); /* fits */
    return id;
}

bool parcels_are_whole(uint32_t tag, uint32_t count, const char *text, const char *ids)
{
    const char *at = ids ? ids : "";

    if (strstr(text, ENDING_TEXT_UNSENT))
        return !ids;

    for (uint32_t i = 0; i < count; i++) {
        const struct request r = { .tag = tag, .file = i };
        char id[FILE_ID_MAX], name[FILE_ID_MAX];

        (void)snprintf(name, sizeof name, "- file %u of %u:", i, tag);
        if (strstr(text, name))
            continue;
        if (!str_starts_with(at, parcels_id(&r, id)))
            return false;
        at += strlen(id);
        at += *at == ' ';
    }
    return *at == '\0';
}
