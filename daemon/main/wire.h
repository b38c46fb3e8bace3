/* wire.h - joins the core to the shell: events in, commands out.
 * Callbacks of adapters only translate and call wire_run(); the commands that come of it are
 * carried out at the end of the loop turn, the storing ones first. */
#pragma once
#include "core/core.h"

struct daemon;
struct err;

/* One event to the core, now; what it commands waits for the end of the turn. */
void wire_run(struct daemon *d, const struct core_event *ev);
void wire_flush(struct daemon *d);               /* at the end of a turn */
void wire_stop(struct daemon *d, int exit_code); /* crash only: leave the loop at once */
/* The core's options by the settings in force. What is in it is borrowed from d. */
struct core_options wire_options(const struct daemon *d);
int wire_start(struct daemon *d, struct err *err); /* timers, signals, first event */
void wire_done(struct daemon *d);
