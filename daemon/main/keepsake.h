/* keepsake.h - the files that came with an answer, saved in a directory of the person's: each under
 * the name that it has, if that is fit for one and nothing else has it, else under its id. Nothing
 * that is there is replaced. A file has its name once it is whole. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct err;
struct keepsake;
struct publicapi;
struct publicapi_answer;
struct strv;

enum { KEEPSAKE_NAME_MAX = 256 };

/* The directory must be there. -ENOENT and others with a sentence. */
int keepsake_open(const char *dir, struct keepsake **ret_keepsake, struct err *err);
void keepsake_free(struct keepsake *k); /* what was begun is removed */
DEFINE_CLEANUP(struct keepsake *, keepsake_free);
/* Fetches one; fn gets the answer, which is then for keepsake_keep(). Negative errno with a
 * sentence where the file can't be made. */
int keepsake_fetch(struct keepsake *k, struct publicapi *api, const char *id,
                   void (*fn)(const struct publicapi_answer *answer, void *ctx), void *ctx,
                   struct err *err);
/* What was wrong with what came; NULL: nothing, or the answer itself says it. */
const char *keepsake_fault(const struct keepsake *k);
/* It is whole: gives it its name, which goes out. */
int keepsake_keep(struct keepsake *k, char name[KEEPSAKE_NAME_MAX], struct err *err);
