/* probe.h - attempts to get out of a sandbox, each a function of its own: the program `probe` runs
 * them and says of each whether it reached what it was after. It is static, so that it runs in any
 * sandbox, and small enough to be read by whoever doubts it.
 * What there is to be reached (files, processes, sockets) lays host.c out, and the harness
 * (walls.py); both put it into the scene, lines of name=value. Everything that is laid out may be
 * read by anybody: not permissions are to stand in the way, but the sandbox. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

enum {
    SCENE_LINES_MAX = 128,
    SCENE_BYTES_MAX = 16384,
    EVIDENCE_MAX = 160,
    PROBE_ABSENT = -100000, /* this scene, or this machine, has nothing of that kind */
};

struct scene {
    char bytes[SCENE_BYTES_MAX];
    const char *names[SCENE_LINES_MAX];
    const char *values[SCENE_LINES_MAX];
    size_t count;
    char *evidence; /* EVIDENCE_MAX: what was reached, in words */
};

/* "" for what the scene hasn't. */
const char *scene_get(const struct scene *s, const char *name);
/* The number of a process, or 0. */
pid_t scene_pid(const struct scene *s, const char *name);
/* What every file and service that is laid out holds; never "". */
const char *scene_secret(const struct scene *s);
__attribute__((format(printf, 2, 3))) void scene_say(struct scene *s, const char *format, ...);

/* 0: reached. Otherwise what kept it back, a negative errno; the ways of probing more than one. */
typedef int (*probe_fn)(struct scene *s, const char *argument);
struct probe {
    const char *name;
    probe_fn run;
    const char *argument;
};

/* 0 if the file can be read and holds the secret. */
int probe_read_secret(struct scene *s, const char *path);
/* 0 if fd gives the secret. */
int probe_read_fd(struct scene *s, int fd);
/* -errno if r is -1, else 0 with the sentence said. */
int probe_verdict(struct scene *s, long r, const char *evidence);
/* Runs a copy of this program, which ends at once; 0 if it could. */
int probe_execute(const char *path);

/* The tables, one a topic. */
const struct probe *files_probes(size_t *ret_count);
const struct probe *proc_probes(size_t *ret_count);
const struct probe *process_probes(size_t *ret_count);
const struct probe *mounts_probes(size_t *ret_count);
const struct probe *namespaces_probes(size_t *ret_count);
const struct probe *devices_probes(size_t *ret_count);
const struct probe *sockets_probes(size_t *ret_count);
const struct probe *network_probes(size_t *ret_count);
const struct probe *shared_probes(size_t *ret_count);
const struct probe *kernel_probes(size_t *ret_count);
const struct probe *rights_probes(size_t *ret_count);
const struct probe *survivors_probes(size_t *ret_count);
const struct probe *bombs_probes(size_t *ret_count);

/* Lays out what processes can be after, prints it as lines of a scene, then "ready"; tells of each
 * signal that reaches it. Ends when standard input does. */
int host_run(int argc, char **argv);
