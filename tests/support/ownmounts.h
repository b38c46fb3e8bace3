/* ownmounts.h - a mount namespace for one test program: its mounts are its own and end with it. */
#pragma once
#include <stdbool.h>

/* Once, in main(), before any thread. As an ordinary user a user namespace comes with it, in which
 * we keep our uid. Where false, mounts fail, and the tests that need one are to be skipped. */
bool ownmounts_enter(void);
