/* gateway.h - a task's way out by proxy and brokers, as its three sides know it: the task gets
 * a listener on its own loopback (apply.h), the spawner clones a process to serve it, and that
 * process (egress/) says over a SOCK_SEQPACKET socket how it goes. */
#pragma once
#include "util/err.h"
#include "util/hostname.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct broker_list;
struct filter;
struct secret;
struct strv;

/* Where the listener is. Below 1024, so that nothing in the task can take the port, and none that
 * browsers refuse. */
#define GATEWAY_ADDRESS "127.0.0.1"
#define GATEWAY_URL     "http://" GATEWAY_ADDRESS ":808"
enum { GATEWAY_PORT = 808 };
/* Refusals that are told for one task; others follow in silence. */
enum { GATEWAY_REFUSALS_MAX = 32 };

/* What the process is given. */
struct gateway {
    const struct strv *hosts; /* settings/allow.h */
    const struct broker_list *brokers;
    const char *ca_file;         /* for those that have none of their own; "": the system's only */
    const char *proxy;           /* http://[USER:PASSWORD@]HOST[:PORT] on the way; "": none */
    const struct filter *filter; /* FILTER_EGRESS */
    uid_t uid;                   /* to become; 0: it stays who it is */
    bool without_landlock;       /* as the operator accepts */
    int listener;                /* bound in the task's network namespace */
    int keys;                    /* a memory file, as gateway_pack_keys() has them; -1: none */
    int words;                   /* for struct gateway_word; its end ends the process */
};
enum { GATEWAY_KEYS_MAX = 256 * 1024 };
/* The keys of a task's brokers, in their order, in a sealed memory file: each its length as a
 * uint32_t and its bytes. Its descriptor, or a negative errno. */
int gateway_pack_keys(const struct secret *const *keys, size_t count);
/* Runs it; in egress/, which the spawner doesn't know. */
typedef void (*gateway_fn)(const struct gateway *g);

enum gateway_refusal {
    GATEWAY_NOT_ALLOWED, /* no entry has it */
    GATEWAY_ADDRESS_BAD, /* the name leads to addresses of this kind only: detail */
    GATEWAY_OTHER_NAME,  /* in its tunnel another name was asked for: detail */
    GATEWAY_NO_NAME,     /* in its tunnel no name was asked for */
    GATEWAY_NOT_TLS,     /* in its tunnel something else than TLS was spoken */
    GATEWAY_NOT_LISTED,  /* the broker of that place isn't for this: detail, METHOD PATH */
    GATEWAY_NO_ANSWER,   /* the broker got none from that place: detail */
    GATEWAY_SPENT,       /* the task has had all bytes that it may have, and some for that place */
    GATEWAY_REFUSAL_COUNT
};

enum gateway_kind { GATEWAY_READY = 1, GATEWAY_FAILED, GATEWAY_REFUSED };

/* REFUSED: each place with each reason once, GATEWAY_REFUSALS_MAX in all. */
struct gateway_word {
    uint32_t kind;
    union {
        uint32_t why;    /* REFUSED: enum gateway_refusal */
        int32_t failure; /* FAILED: a negative errno */
    };
    char place[HOSTNAME_WITH_PORT_SIZE]; /* REFUSED: HOST:PORT, as hostname_with_port() writes it */
    char detail[HOSTNAME_SIZE];          /* REFUSED: as above, or "" */
    char error[ERR_TEXT_MAX];            /* FAILED */
};

/* Whether w can come from one of ours that works: the process that sends it reads what a hostile
 * task writes. */
bool gateway_word_is_sound(const struct gateway_word *w);
/* "the task wanted example.org:443, which the policy doesn't allow ...", cut at size - 1. */
void gateway_describe(const struct gateway_word *w, char *text, size_t size);
