/* parcels.h - the files that tasks leave for people, as one machine's disk has them: in the job's
 * outbox, which the next attempt empties, or set aside for the reply that they go with. They
 * outlive the daemon. */
#pragma once
#include "core/core.h"
#include "sim/schedule.h"
#include <stdbool.h>
#include <stdint.h>

struct request;
struct side;
struct sim;

enum { FILES_MAX = 3, FILE_ID_MAX = 48, FILES_TEXT_MAX = FILES_MAX * FILE_ID_MAX };

struct parcels {
    uint32_t made; /* counts the attempts that left some */
    struct {
        uint32_t tag, count; /* of which attempt; 0: empty */
    } outbox[JOBS];
    struct {
        uint64_t seq; /* 0: nothing is set aside */
        uint32_t tag, count;
    } aside[MESSAGES];
};

/* An attempt begins, or ends and has left some: which are then what its answer is to bring. */
void parcels_empty(struct side *side, uint32_t job);
uint32_t parcels_leave(struct side *side, uint32_t job, uint32_t count);
/* CORE_CMD_GATHER and CORE_CMD_DISCARD. */
void parcels_gather(struct sim *sim, struct side *side, uint64_t seq);
void parcels_discard(struct sim *sim, struct side *side, uint64_t seq);
/* The next file of a message, as it is sent. */
void parcels_send(struct sim *sim, struct side *side, const struct task *t, struct request *r);
/* The server's id for it. */
const char *parcels_id(const struct request *r, char id[FILE_ID_MAX]);
/* Whether the reply of that text and with those ids brings, or misses by name, all that the attempt
 * of that tag left; or says that it brings nothing. */
bool parcels_are_whole(uint32_t tag, uint32_t count, const char *text, const char *ids);
