/* machine.h - which machine this is. */
#pragma once
#include <stdbool.h>

enum { MACHINE_ID_MAX = 33 };

/* The machine id: 32 hex digits that no other machine has, and that no program tells a network
 * (hash it). False where there is none, as in many containers. path: NULL for /etc/machine-id.
 * Source: machine-id(5). */
bool machine_id(const char *path, char ret_id[MACHINE_ID_MAX]);
