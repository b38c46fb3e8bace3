/* admin.h - the verbs of the admin socket (control/control.h) and their answers. What is somebody's
 * word is only confirmed once it is on the disk: CORE_CMD_ANSWER. */
#pragma once
#include <stdint.h>

struct err;
struct json;

/* A control_fn; ctx: struct daemon. */
int admin_answer(const struct json *request, uint64_t number, struct json *answer, struct err *err,
                 void *ctx);
