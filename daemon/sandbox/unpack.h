/* unpack.h - takes an archive apart. Home of <archive.h>.
 * The archive is hostile and what reads it a large library, so but in tests it only ever runs in a
 * sandbox without any file: in place of the program of a plan_unpack_make(), within FILTER_SURVEY.
 * Nothing is written anywhere but as a crate (task/crate.h), which the daemon reads as hostile
 * again. Only zip with deflate is known, and only regular files are taken: an archive with a link,
 * a device, an encrypted file, a name that leaves its folder or is there twice is refused as a
 * whole. A single folder that all else lies in is left off; __MACOSX and .DS_Store are skipped.
 * Source: Nairi, provisioned artifacts. */
#pragma once
#include <stddef.h>

struct buf;

enum {
    UNPACK_ARCHIVE_MAX = 32 << 20,
    UNPACK_ENTRIES_MAX = 4000, /* with directories and what is skipped */
    UNPACK_RATIO_MAX = 200,    /* bytes out of a byte, past the first UNPACK_FREE_BYTES */
    UNPACK_FREE_BYTES = 1 << 20,
    UNPACK_CPU_S = 20,
};

/* Gets pieces of the crate; a negative errno ends it. */
typedef int (*unpack_fn)(const void *bytes, size_t len, void *ctx);
/* The crate of an archive: whole, or one that says why not. Negative errno: of fn. */
int unpack_archive(const void *bytes, size_t len, unpack_fn fn, void *ctx);
/* From standard input to standard output. Ends the process, with 0 where all could be written. */
_Noreturn void unpack_run(void);
