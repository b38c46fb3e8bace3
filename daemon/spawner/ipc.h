/* ipc.h - what daemon and spawner say to each other, a datagram each over SOCK_SEQPACKET.
 * Both ends are one binary, so structs go as they are. */
#pragma once
#include "sandbox/gateway.h"
#include "spawner/spawner.h"
#include <stdint.h>

enum ipc_type {
    IPC_READY =
        1,       /* spawner: news, its first word; where exit.failure isn't 0 it ends, by .error */
    IPC_START,   /* daemon: order, with IPC_FDS descriptors */
    IPC_KILL,    /* daemon: order */
    IPC_STARTED, /* spawner: news */
    IPC_REFUSED, /* spawner: news, before the task's EXITED */
    IPC_EXITED,  /* spawner: news */
    IPC_WARM,    /* daemon: order, of no task */
    IPC_EXPECT,  /* daemon: order, of no task */
};

/* Descriptors of a START: the encoded plan in a memory file, the task's 0 to 2, and where the plan
 * has brokers their keys (sandbox/gateway.h). */
enum { IPC_KEYS = 4, IPC_FDS = 5 };

struct ipc_order {
    uint32_t type;
    union {
        uint32_t grace_ms; /* KILL */
        uint32_t count;    /* WARM */
        uint32_t user;     /* EXPECT */
    };
    uint64_t task;
};

struct ipc_news {
    uint32_t type;
    int32_t pid; /* STARTED */
    uint64_t task;
    union {
        struct spawner_exit exit;    /* READY, EXITED */
        struct gateway_word refusal; /* REFUSED */
    };
};

/* One datagram of the spawner's, which is less trusted than the daemon: -EBADMSG for what it can't
 * have sent. bytes: aligned in any way. */
int ipc_read_news(const void *bytes, size_t len, struct ipc_news *ret_news);
