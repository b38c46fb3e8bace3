/* programs.h - where our own programs are: beside the one that runs, else in PATH. */
#pragma once

struct programs {
    char *daemon, *hub; /* a path, or a name for PATH */
};

/* Always finds something: where there is no such file the name for PATH. */
void programs_find(struct programs *ret_programs);
void programs_done(struct programs *p);
/* How the user called this program, for hints of what to type. Borrowed, never freed. */
const char *programs_name(void);
