/* package.h - where runner.program really is, and what of the machine a task must be shown of it.
 * A program that npm, nvm or an installer put into somebody's home is a link to a file of a
 * package: the sandbox gets that package (what is below the last node_modules/), or else that one
 * file, and nothing else of the home: of what is no file nothing is shown, least of all a directory
 * with all that is in it. Opens nothing. */
#pragma once
struct strv;

/* *word: a program's name or path, allocated; an absolute path is replaced by what it leads to, and
 * what has to be shown of that is added to read. What isn't there is left as it is. */
void package_show(char **word, struct strv *read);
