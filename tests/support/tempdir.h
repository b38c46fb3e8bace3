/* tempdir.h - a directory for one test, removed with all that is in it. */
#pragma once

/* Under TMPDIR or /tmp, mode 0700; fails the test if it can't be made. To be given back to
 * tempdir_free(). */
char *tempdir_new(void);
void tempdir_free(char *dir);
/* A file (0644) with that text in it, or a directory (0755), of that name below dir. */
void tempdir_put(const char *dir, const char *name, const char *text);
void tempdir_mkdir(const char *dir, const char *name);
