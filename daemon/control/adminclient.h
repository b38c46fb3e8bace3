/* adminclient.h - the admin socket as the command line uses it: one request, one answer, blocking,
 * within a time. control.h has the requests and answers. */
#pragma once
#include <stdint.h>

struct err;
struct json;

/* dir: the state directory whose daemon is asked. Returns the answer object (with "ok" true), to be
 * freed, or a negative errno with a sentence. -ECONNREFUSED or -ENOENT: no daemon runs there;
 * -EREMOTEIO: it refused, and the sentence is its own; -ETIMEDOUT; -EPROTO for an answer that is
 * none. */
int adminclient_call(const char *dir, const struct json *request, uint32_t timeout_ms,
                     struct json **ret_answer, struct err *err);
