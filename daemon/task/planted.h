/* planted.h - what a task may leave for others to trip over: files that programs run or obey as
 * soon as somebody works in the directory, and things that are dangerous to handle. One table of
 * names; who trips over each kind stands beside it. Pure: it is told names and contents, which are
 * hostile, and reads nothing itself. sandbox/survey.h walks a job's directories with it.
 * Instructions in prose (CLAUDE.md, AGENTS.md) aren't among them: they are text to be read, and
 * the reader is asked before anything is run. Nor are build files (Makefile, package.json): who
 * builds what a task wrote runs it knowingly.
 * Sources: githooks(5), gitrepository-layout(5), git-config(1), gitattributes(5), and the manuals
 * of the programs named. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* In the order of how much they matter. */
enum planted_kind {
    PLANTED_SET_ID,
    PLANTED_DEVICE,
    PLANTED_GIT_HOOK,
    PLANTED_GIT_CONFIG,
    PLANTED_GIT_LINK, /* a .git that is no directory */
    PLANTED_AGENT,
    PLANTED_MCP,
    PLANTED_EDITOR,
    PLANTED_SHELL,
    PLANTED_CONTAINER,
    PLANTED_PACKAGES,
    PLANTED_HOOK_MANAGER,
    PLANTED_CI,
    PLANTED_LINK, /* a symbolic link that leads out */
    PLANTED_GIT_ATTRIBUTES,
    PLANTED_GIT_MODULES,
    PLANTED_NAME,
    PLANTED_PIPE,
    PLANTED_SOCKET,
    PLANTED_LOCKED, /* a directory that can't be looked into */
    PLANTED_KIND_COUNT
};

/* Whether what is in the file decides. */
enum planted_look {
    PLANTED_ALWAYS,        /* no: it counts as it is */
    PLANTED_BY_CONFIG,     /* git's settings: if one of them runs a program or leads elsewhere */
    PLANTED_BY_ATTRIBUTES, /* if they name a driver, which git's settings make a program */
    PLANTED_BY_TARGET      /* the path of a directory: if that leads out */
};

struct planted_row {
    const char *pattern; /* "*": of a name, not "/"; a last "**": all below */
    enum planted_kind kind;
    enum planted_look look;
};

/* Where something lies: path is relative to the workspace. */
struct planted_place {
    const char *path;
    size_t top;   /* offset of what is relative to the top of its repository */
    size_t git;   /* offset of what is relative to the git directory in which it is; or NOWHERE */
    bool package; /* below a node_modules: others' packages, which nobody works in */
};
#define PLANTED_NOWHERE ((size_t)-1)

/* NULL: no name that anybody obeys. Static. Letter case doesn't count. */
const struct planted_row *planted_find(const struct planted_place *place);
/* The same for a symbolic link, which may stand for a directory with such names in it. */
const struct planted_row *planted_find_link(const struct planted_place *place);
/* path has a .git above it: git's own data, in which nobody works. Another directory that git takes
 * for one of its own (two names make it one) may be a workspace all the same. */
bool planted_is_in_git(const char *path);
/* path, relative to a repository's top, is or is in a directory that only counts there: a .git put
 * into it makes it no top of its own. */
bool planted_is_of_top(const char *path);
/* The rows that name one path each, to be looked for at a top; index from 0; NULL: no more. */
const struct planted_row *planted_fixed(size_t index);
/* The contents of the file at path, relative to the workspace, make it one that counts. All of
 * them: where they are cut it counts. */
bool planted_is_live(enum planted_look look, const char *path, const char *bytes, size_t len);
/* A link at path, relative to the workspace, may lead out of the workspace. Links to what every
 * system has for all to read (/usr and such) don't count: each virtual environment is full of them.
 */
bool planted_leads_out(const char *path, const char *target);
/* A name that terminals, scripts and people may take for something else: control characters, and
 * those that turn the direction of writing. */
bool planted_is_odd_name(const char *name);
/* "git runs it", for a sentence. Static. */
const char *planted_words(enum planted_kind kind);
