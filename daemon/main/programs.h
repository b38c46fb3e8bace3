/* programs.h - where our own programs are: beside the one that runs, else in PATH. */
#pragma once

struct err;

struct programs {
    char *daemon, *hub; /* a path, or a name for PATH */
};

/* Where there is no such file the name for PATH. It fails only where the machine is too short of
 * something to look, or a disk fails. */
int programs_find(struct programs *ret_programs, struct err *err);
void programs_done(struct programs *p);
/* How the user called this program, for hints of what to type. Borrowed, never freed. */
const char *programs_name(void);
