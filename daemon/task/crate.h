/* crate.h - a tree of files as one stream of bytes, from a process that nobody trusts: what was
 * taken out of an archive (sandbox/unpack.h). Pure.
 * A record is a byte of its type, a mode and a length (4 bytes each, little-endian), and that many
 * bytes: 'F' begins a file (its path), 'D' is a piece of it, 'E' ends the crate, 'X' ends it with
 * the sentence why there is none. Directories are those that the paths name.
 * The reader holds every bound by itself; the writer's side says why with more words. */
#pragma once
#include "util/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum {
    CRATE_FILES_MAX = 1000,
    CRATE_BYTES_MAX = 64 << 20, /* of all files */
    CRATE_PATH_MAX = 512,
    CRATE_PART_MAX = 128, /* of a component of a path */
    CRATE_DEPTH_MAX = 12, /* components */
    CRATE_PIECE_MAX = 64 * 1024,
    CRATE_WORDS_MAX = 300,
    CRATE_HEAD = 9, /* bytes before a record's own */
};

/* NULL where path may be a file's: relative, no "." or "..", valid UTF-8 without control characters
 * and backslashes, within the bounds. Else why not, as the end of a sentence. */
const char *crate_refusal(const char *path, size_t len);

/* Of the writer: appended to b. */
void crate_put_file(struct buf *b, const char *path, bool is_program);
void crate_put_piece(struct buf *b, const void *bytes, size_t len); /* at most CRATE_PIECE_MAX */
void crate_put_end(struct buf *b);
void crate_put_refusal(struct buf *b, const char *why);

/* Each is called in order; a negative errno (with a sentence, where err isn't NULL) ends it. */
struct crate_ops {
    int (*file)(const char *path, bool is_program, void *ctx, struct err *err);
    int (*piece)(const void *bytes, size_t len, void *ctx, struct err *err);
};

struct crate {
    struct buf pending; /* a record that isn't whole */
    uint64_t bytes;
    size_t files;
    bool in_file, ended;
    int failure; /* once negative it stays so, and nothing more is read */
};

/* Some bytes of it, cut anywhere. Negative errno with a sentence; -EBADMSG for what isn't as above,
 * -ECANCELED for 'X'. */
int crate_feed(struct crate *p, const void *bytes, size_t len, const struct crate_ops *ops,
               void *ctx, struct err *err);
/* After the last byte: whether all was there. */
bool crate_is_whole(const struct crate *p);
void crate_done(struct crate *p);
