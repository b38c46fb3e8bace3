/* hash.h - the home of <uthash.h>: hash tables within structs.
 * Their own memory comes from mem.h, so that exhaustion ends as it does everywhere else. */
#pragma once
#include "util/mem.h"

#define uthash_malloc(size) mem_alloc(size)
#define uthash_fatal(words) mem_die() /* never: mem_alloc() has no failure to tell of */
#include <uthash.h>
