#include "hub/lookout.h"

#include <stddef.h>

#include "util/mem.h"

struct lookout {
    struct entry {
        int64_t message; /* 0: free */
        uint64_t seen_ms;
        bool ended;
        bool told; /* that it is over; the answer itself is another question */
    } entries[LOOKOUT_MAX];
};

struct lookout *lookout_new(void)
{
    return mem_new(struct lookout);
}

void lookout_free(struct lookout *l)
{
    free(l);
}

/* Its entry, or else a free one or the one that was seen the longest ago. */
static struct entry *find(struct lookout *l, int64_t message)
{
    struct entry *best = &l->entries[0];

    for (size_t i = 0; i < LOOKOUT_MAX; i++) {
        struct entry *e = &l->entries[i];

        if (e->message == message)
            return e;
        if (e->seen_ms < best->seen_ms) /* free ones have 0 */
            best = e;
    }
    return best;
}

void lookout_saw(struct lookout *l, int64_t message, bool open, uint64_t now_ms)
{
    struct entry *e = find(l, message);

    if (open) {
        *e = (struct entry){ .message = message, .seen_ms = now_ms };
    } else if (e->message == message && e->ended && !e->told) {
        e->told = true;
        e->seen_ms = now_ms + LOOKOUT_REPLY_MS - LOOKOUT_MS;
    } else if (e->message == message) {
        *e = (struct entry){ 0 };
    }
}

void lookout_ended(struct lookout *l, int64_t message)
{
    struct entry *e = find(l, message);

    if (e->message == message)
        e->ended = true;
}

uint64_t lookout_until(const struct lookout *l, uint64_t now_ms)
{
    uint64_t until_ms = 0;

    for (size_t i = 0; i < LOOKOUT_MAX; i++) {
        const struct entry *e = &l->entries[i];

        if (e->ended && e->seen_ms + LOOKOUT_MS > now_ms && e->seen_ms + LOOKOUT_MS > until_ms)
            until_ms = e->seen_ms + LOOKOUT_MS;
    }
    return until_ms;
}
