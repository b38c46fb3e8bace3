/* envwatch.h - looks whether the present daemon's ".env" (settings/envfile.h) has changed: as soon
 * as the kernel tells, and once a minute, as on some file systems it doesn't. */
#pragma once
#include "util/cleanup.h"

struct envwatch;
struct loop;

enum { ENVWATCH_MS = 60 * 1000 };

typedef void (*envwatch_fn)(void *ctx);

/* fn comes after each change of the file from now on, its coming and going among them; path NULL,
 * or its directory isn't there: never. */
struct envwatch *envwatch_new(struct loop *loop, const char *path, envwatch_fn fn, void *ctx);
void envwatch_free(struct envwatch *w);
