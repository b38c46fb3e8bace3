/* checkout.h - which repository a directory is the top of, as "HOST/OWNER/NAME", from its
 * .git/config. Anybody may have written that: it is read here, bounded, without running git and
 * without following a link or an include; nothing of it but the remote "origin" counts, and nothing
 * in that but host and path.
 * Source: git-config(1), gitmodules URL forms of git-clone(1); Nairi agents API, "Validation at
 * start". */
#pragma once
#include <stddef.h>

struct err;

enum { CHECKOUT_CONFIG_MAX = 64 * 1024, CHECKOUT_ID_MAX = 200 };

/* 0 and *ret_id (to be freed), or *ret_id NULL where dir is no top of a repository. -EINVAL with a
 * sentence where it is one that can't be named; -EPERM where its .git is another user's. */
int checkout_identify(const char *dir, char **ret_id, struct err *err);
/* What url names, to be freed; NULL: nothing that can be named. */
char *checkout_of_url(const char *url);
/* The URL of the remote "origin" in a config, to be freed, or NULL. */
char *checkout_origin(const char *text, size_t len);
