/* wallet.h - the keys of one task's brokers, in locked memory, and what else asking their upstreams
 * takes. All that needs files is done by wallet_new(), before they are closed to us. */
#pragma once
#include "settings/broker.h"
#include "util/cleanup.h"
#include <stddef.h>
#include <stdint.h>

struct censor_forms;
struct err;
struct secret;
struct tls_trust;
struct wallet;

struct wallet_entry {
    const struct broker *broker;
    struct broker_place place;
    struct secret *key;
    struct censor_forms *forms; /* of the key */
    uint32_t left;              /* requests */
};

/* brokers: outlives it. keys: sandbox/gateway.h, -1 where there are no brokers; it is closed.
 * ca_file: "" for none. */
int wallet_new(const struct broker_list *brokers, int keys, const char *ca_file,
               struct wallet **ret_wallet, struct err *err);
void wallet_free(struct wallet *w);
DEFINE_CLEANUP(struct wallet *, wallet_free);

/* The entry of that broker; borrowed. NULL: it is none of the task's. */
struct wallet_entry *wallet_find(struct wallet *w, const struct broker *broker);
/* Whom its upstream's certificate is to be from. The certificates are read from memory when they
 * are wanted for the first time, as there are many. */
int wallet_trust(struct wallet *w, const struct wallet_entry *entry, struct tls_trust **ret_trust,
                 struct err *err);
