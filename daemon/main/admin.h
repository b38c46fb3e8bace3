/* admin.h - the verbs of the admin socket (control/control.h) and their answers. */
#pragma once

struct err;
struct json;

/* A control_fn; ctx: struct daemon. */
int admin_answer(const struct json *request, struct json *answer, struct err *err, void *ctx);
