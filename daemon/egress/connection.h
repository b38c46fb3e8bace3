/* connection.h - the task's connections to its proxy and its brokers: what each asks for, whether
 * it may have it, and then its bytes. One request a connection, so that each is judged by itself.
 *   CONNECT HOST:PORT    a tunnel. What the client says first must be TLS whose SNI is HOST, or one
 *                        HTTP request to it; anything where the entry says raw, TLS without a name
 *                        where HOST is an address
 *   METHOD http://HOST   passed on with Host from the URL
 *   METHOD /NAME/PATH    asked of that broker's upstream with its key (errand.h)
 * Sources: RFC 9110 s9.3.6, RFC 9112 s3.2. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct broker_list;
struct herald;
struct locals;
struct loop;
struct resolver;
struct rules;
struct uplink;
struct wallet;

struct connections {
    struct loop *loop;
    struct resolver *resolver;
    const struct locals *locals;
    const struct rules *rules;
    struct herald *herald;
    const struct uplink *uplink; /* the proxy on the way; NULL: none */
    const struct broker_list *brokers;
    struct wallet *wallet; /* of the brokers */
    uint64_t bytes_left;   /* of the whole task, both ways */
    size_t count;
    struct connection *first;
    void (*closed)(void *ctx); /* one less */
    void *ctx;
};

enum { CONNECTIONS_MAX = 256 };

/* Takes the accepted socket, which is non-blocking. */
void connection_new(struct connections *all, int client);
void connection_end_all(struct connections *all);
