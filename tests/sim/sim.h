/* sim.h - one schedule: the world of a seed, and all that is in it. main.c tells what it is for. */
#pragma once
#include "sim/agenda.h"
#include "sim/draw.h"
#include "sim/network.h"
#include "sim/schedule.h"
#include "sim/server.h"
#include "sim/side.h"
#include "sim/tally.h"
#include <stdio.h>

/* Faults that are built into the simulated wiring or disk, to show that the checks find them. */
enum sabotage {
    SABOTAGE_NONE,
    SABOTAGE_ACK_FIRST,      /* a message is acknowledged before its reply is sent */
    SABOTAGE_NO_DEDUP,       /* the core doesn't recognize what it has had */
    SABOTAGE_ACT_FIRST,      /* commands are carried out before the commit */
    SABOTAGE_LOSE_FENCE,     /* the disk keeps no lease numbers */
    SABOTAGE_FORGET_ATTEMPT, /* the disk keeps no count of attempts */
    SABOTAGE_FORGET_SURVEY,  /* nor that a reply waits for a look at what its task left */
    SABOTAGE_FORGET_UNSENT,  /* nor that it waits for files that go with it */
    SABOTAGE_FORGET_IDS,     /* nor which of them the server has */
    SABOTAGE_COUNT
};

struct finding {
    bool found;
    char text[400]; /* the first one */
    uint64_t at_ms;
};

struct sim {
    uint64_t seed;
    enum sabotage sabotage;
    bool blind;  /* the checks know only what can be seen from outside of a daemon */
    FILE *trace; /* NULL: none is wanted */
    struct draw draw;
    struct schedule schedule;
    struct agenda agenda;
    uint64_t now_ms; /* real time since the world began */
    bool healed, ended;
    struct server server;
    struct network network;
    struct side sides[SIDES];
    struct finding finding;
    struct tally tally;
};

/* Of what goes wrong: per mille, and never once the world is healed. */
bool sim_mishap(struct sim *sim, uint32_t rate);
