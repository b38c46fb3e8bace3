/* stream.h - what a runner makes of recordings of its real program, for the tests of its parser:
 * tests/fixtures/PROGRAM has NAME.stdout.ndjson, NAME.stderr and NAME.exit as they were recorded,
 * and NAME.events with what is to become of it, a line an event. With NAIRID_WRITE_EVENTS=1 in the
 * environment those last files are written anew, for a person to read and compare. */
#pragma once
#include "runner/runner.h"
#include "util/buf.h"
#include "util/cleanup.h"

struct stream {
    const struct runner *runner;
    const char *fixtures; /* the directory */
    unsigned fixtures_at_least;
    const char *session; /* gone on with; NULL: none */
};

/* What came of one. */
struct stream_run {
    struct buf events; /* a line each */
    struct runner_result result;
    unsigned finals;
};
struct stream_fixture {
    char *name;
    struct buf out, errors;
    bool exit_ok;
};

struct settings stream_settings(void);
/* Tests for the list of a cmocka group; their state is a struct stream. */
#define STREAM_TESTS(stream)                                                                       \
    cmocka_unit_test_prestate(stream_gives_the_events_of_each_recording, (stream)),                \
        cmocka_unit_test_prestate(stream_gives_the_same_in_pieces_of_any_size, (stream)),          \
        cmocka_unit_test_prestate(stream_ends_sanely_wherever_it_is_cut, (stream))
void stream_gives_the_events_of_each_recording(void **state);
void stream_gives_the_same_in_pieces_of_any_size(void **state);
/* The events of a beginning, cut within any line, are the beginning of the events, and there is no
 * answer without its last line. */
void stream_ends_sanely_wherever_it_is_cut(void **state);
/* Feeds the first len bytes in pieces. *run: to be freed with stream_run_done(). */
void stream_run_bytes(const struct stream *s, struct stream_run *run,
                      const struct stream_fixture *f, size_t len, size_t piece,
                      const struct settings *settings);
/* The same with text that was written by hand, of a program that ended with status 0. */
void stream_run_text(const struct stream *s, struct stream_run *run, const char *text,
                     const struct settings *settings);
void stream_run_done(struct stream_run *run);
void stream_fixture_done(struct stream_fixture *f);
