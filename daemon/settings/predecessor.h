/* predecessor.h - what the present daemon has without being told, for settings.c. */
#pragma once

struct err;
struct settings;
struct settings_input;

/* Where no file says anything, settings_input.as_before: agent.id from the repository in the
 * working directory, a state directory for each agent, logins from the environment for the tasks.
 * What can't be named is a warning. */
int predecessor_apply(const struct settings_input *in, struct settings *s, struct err *err);
/* Tasks whose network is the machine's are told of the proxy by the variables that the present
 * daemon sets; what they have already stays. */
void predecessor_pass_proxy(struct settings *s);
