/* tally.h - what happened in a schedule, counted: so that a report can tell that it did. */
#pragma once
#include <stdint.h>

struct tally {
    uint64_t events, commands, commits, starts, crashes, full_disks, exits;
    uint64_t requests, requests_lost, requests_repeated, answers_lost, refusals, given_up;
    uint64_t children, bad_children, kills, stuck;
    uint64_t takeovers, stops, words, mishaps, purged;
    uint64_t surveys, late_surveys;
    uint64_t files, uploads;
    uint64_t feeds, pushes;
    uint64_t completes;
};
