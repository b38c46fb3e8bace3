/* profile.h - how much of the machine a task sees, as data: config/profiles/NAME.yaml.
 * Those files are built into the program (packaging/embed.cmake), so that no start depends on a
 * file that somebody could remove or change; what is installed beside the manual is for reading.
 * nairid.yaml(5), PROFILES, says what each key and word means. Core: pure. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Words of a path. */
enum profile_word {
    PROFILE_READ = 1,     /* list directories, read files */
    PROFILE_EXECUTE = 2,  /* execute files */
    PROFILE_OPTIONAL = 4, /* left out where the host lacks it */
    PROFILE_MIRROR = 8,   /* where the host has a link, the same link is made */
    PROFILE_WORDS_ALL = 15
};

/* Groups of system calls; which calls are in them is sandbox/filter.h's to say. */
enum profile_calls {
    PROFILE_FILES = 1 << 0,
    PROFILE_MEMORY = 1 << 1,
    PROFILE_WAITING = 1 << 2,
    PROFILE_SELF = 1 << 3,
    PROFILE_SIGNALS = 1 << 4,
    PROFILE_SOCKETS = 1 << 5,
    PROFILE_QUEUES = 1 << 6,
    PROFILE_PROGRAMS = 1 << 7,
    PROFILE_DEBUGGING = 1 << 8,
    PROFILE_CALLS_ALL = (1 << 9) - 1,
    PROFILE_CALLS_COUNT = 9
};

struct profile_entry {
    char *name;     /* a path, of env a variable's name */
    char *text;     /* of links where it points, of files what is in it, of env the value */
    unsigned words; /* of paths */
    unsigned line;  /* in the profile's file */
};
struct profile_list {
    struct profile_entry *items;
    size_t len;
};

struct profile {
    char *name;
    char *network; /* the mode where the settings name none: none, allowlist, host */
    uint32_t calls;
    bool terminals; /* /dev/pts of the task's own */
    unsigned network_line, calls_line, terminals_line;
    struct profile_list paths, devices, links, files, env; /* in the file's order */
};

/* "strict", "agent", "host"; NULL past the end. */
const char *profile_name(size_t index);
/* The text that was built in; NULL for a name that is none of them. */
const char *profile_text(const char *name, size_t *ret_len);
/* The profile of that text. -EINVAL with "FILE:LINE:COLUMN: what, nearest name" for whatever is
 * wrong with it; all keys are required. Every path is absolute and plain: no empty part, no "." and
 * no "..", not "/", shorter than PATH_MAX. */
int profile_parse(const char *file, const char *name, const char *text, size_t len,
                  struct profile **ret_profile, struct err *err);
/* A profile that was built in. */
int profile_load(const char *name, struct profile **ret_profile, struct err *err);
void profile_free(struct profile *p);
DEFINE_CLEANUP(struct profile *, profile_free);
bool profile_path_is_plain(const char *path);
/* The name of the calls' group 1 << index, and a key of the files; NULL past the end. */
const char *profile_calls_name(size_t index);
const char *profile_key(size_t index);

/* What packaging/embed.cmake writes; the last one has no name. */
struct profile_embedded {
    const char *name;
    const unsigned char *bytes;
    size_t len;
};
extern const struct profile_embedded profile_embedded[];
