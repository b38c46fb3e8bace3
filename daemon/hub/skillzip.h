/* skillzip.h - what the archive of a skill says of itself: the name and the description in the
 * front matter of its SKILL.md, which lies at the top or in the archive's one folder.
 * The archive is foreign: it is read from front to back, in memory that doesn't grow with it,
 * nothing of it is written anywhere, and what is too long, too many, encrypted, compressed by an
 * unusual method or leads out of its folder is refused with a sentence: what daemons would leave
 * out (nairid's bounds are these) is better told to whoever uploads it. Home of archive.h here. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>

struct err;

enum {
    SKILLZIP_NAME_MAX = 64,
    SKILLZIP_DESCRIPTION_MAX = 1024,
    SKILLZIP_ENTRIES_MAX = 4000,
    SKILLZIP_PAGE_MAX = 256 << 10, /* bytes of SKILL.md */
    SKILLZIP_FILES_MAX = 1000,
    SKILLZIP_CONTENTS_MAX = 64 << 20, /* of all files unpacked */
    SKILLZIP_PATH_MAX = 512,
    SKILLZIP_PART_MAX = 128, /* of a component of a path */
    SKILLZIP_DEPTH_MAX = 12, /* components */
};

struct skillzip {
    char name[SKILLZIP_NAME_MAX + 1];
    char *description;
};

/* fd: a file, read from where it stands. 0; -EBADMSG for an archive that isn't one of a skill, err
 * says why; or a negative errno of reading. */
int skillzip_read(int fd, struct skillzip *ret_skill, struct err *err);
/* The same from the text of SKILL.md: 0, -EBADMSG or -ENOMEM. */
int skillzip_read_page(const char *page, size_t len, struct skillzip *ret_skill, struct err *err);
void skillzip_done(struct skillzip *s);
