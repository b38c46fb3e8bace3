/* broker.h - one entry of broker[]: a model's API that tasks use without having its key. Pure, a
 * plain value. A task asks http://127.0.0.1:808/NAME/PATH (sandbox/gateway.h), and what is listed
 * goes to UPSTREAM/PATH with the key.
 * Names that are known (broker_known()) have all but the key by themselves.
 * Sources of those: the providers' API references. */
#pragma once
#include "util/cleanup.h"
#include "util/hostname.h"
#include "util/strv.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* What a task finds them below; the same as GATEWAY_URL. */
#define BROKER_URL "http://127.0.0.1:808"

enum {
    BROKER_MAX = 16, /* entries */
    BROKER_NAME_MAX = 32,
    BROKER_LIST_MAX = 64, /* methods, or paths, of one */
    BROKER_TEXT_MAX = 1024,
};

struct broker {
    char *name;          /* a-z, 0-9 and '-' */
    char *upstream;      /* https://HOST[:PORT][/PREFIX], or http:// to an address of loopback */
    char *key_file;      /* absolute; NULL: key_variable has the key */
    char *key_variable;  /* of runner.env; NULL: key_file has it */
    char *header;        /* in lower case: the field that has the key */
    char *scheme;        /* what stands before it, "" for nothing */
    char *ca_file;       /* absolute; NULL: the system's certificates, and server.ca_file's */
    unsigned grants;     /* enum allow_grant: what kinds of addresses the name may lead to besides
                            public ones */
    struct strv methods; /* "GET" */
    struct strv paths;   /* "/v1/messages", or with anything below: "/v1/models/" and a star */
    uint32_t requests;   /* of one task */
    uint32_t timeout_ms; /* from a request to the beginning of its answer */
    uint64_t request_limit_bytes, response_limit_bytes; /* of one request */
};

struct broker_list {
    struct broker *items;
    size_t len;
};

/* Where upstream is. */
struct broker_place {
    struct hostname host;
    uint16_t port;
    bool is_tls;
    const char *prefix; /* borrowed from upstream: "" or "/..." */
};

/* All but the key of a name that is known. False for others: then only the limits. */
bool broker_known(const char *name, struct broker *ret_broker);
/* -EINVAL if it isn't as described above. */
int broker_check(const struct broker *b, struct err *err);
int broker_find_place(const struct broker *b, struct broker_place *ret_place, struct err *err);
/* Whether nobody can read the path as another than it is: begins with '/', no empty part, no "."
 * and no "..", only letters, digits and -._~!$&'()*+,=:@ in the parts, so no escapes. */
bool broker_path_is_plain(const char *path, size_t len);
/* Whether a plain path is that of the pattern. */
bool broker_path_matches(const char *pattern, const char *path, size_t len);
void broker_done(struct broker *b);

const struct broker *broker_find(const struct broker_list *list, const char *name);
/* Takes over what *b holds. */
void broker_add(struct broker_list *list, struct broker *b);
void broker_copy_all(struct broker_list *to, const struct broker_list *from); /* to: empty */
void broker_done_all(struct broker_list *list);
