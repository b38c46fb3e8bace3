/* keyring.h - the keys of a task's brokers, from where the settings say they are. */
#pragma once

struct broker;
struct broker_list;
struct err;
struct mask;
struct secret;
struct settings;

/* The key of one as it is now; before anybody gets it, the mask (NULL: none) knows it. */
int keyring_load(const struct settings *s, const struct broker *broker, struct mask *mask,
                 struct secret **ret_key, struct err *err);
/* Those of all in a memory file for the spawner: its descriptor, -1 in *ret_fd where there are no
 * brokers. Nothing of them stays here. */
int keyring_pack(const struct settings *s, const struct broker_list *brokers, struct mask *mask,
                 int *ret_fd, struct err *err);
