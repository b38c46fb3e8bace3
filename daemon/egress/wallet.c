#include "egress/wallet.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "egress/censor.h"
#include "net/tls.h"
#include "sandbox/gateway.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

enum { CA_FILE_MAX = 4 * 1024 * 1024 };

/* Where distributions have what libcurl would take: the first that is there. */
static const char *const system_files[] = { "/etc/ssl/certs/ca-certificates.crt",
                                            "/etc/pki/tls/certs/ca-bundle.crt",
                                            "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem" };

/* Certificates of one origin, for one entry or for all without their own. */
struct authority {
    struct tls_trust *trust;
    struct buf pem;   /* not read yet */
    const char *what; /* for messages; borrowed */
};

struct wallet {
    struct wallet_entry entries[BROKER_MAX];
    struct authority own[BROKER_MAX], common;
    size_t count;
};

/* ---- files ---- */

static int read_file(const char *path, struct buf *b, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "read the certificates of '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > CA_FILE_MAX)
        return err_set(err, -EINVAL, "'%s' is no file of certificates", path);
    n = fd_read_all(fd, buf_reserve(b, (size_t)st.st_size), (size_t)st.st_size);
    if (n < 0)
        return err_set(err, (int)n, "read '%s': %s", path, strerror((int)-n));
    b->len += (size_t)n;
    buf_append_char(b, '\n'); /* another may follow */
    return 0;
}

static int read_authority(struct authority *a, const char *path, struct err *err)
{
    a->what = path;
    return read_file(path, &a->pem, err);
}

/* The system's, and those that are trusted with the control plane. */
static int read_common(struct authority *a, const char *ca_file, struct err *err)
{
    a->what = "the system's certificates";
    for (size_t i = 0; a->pem.len == 0 && i < ARRAY_SIZE(system_files); i++)
        (void)read_file(system_files[i], &a->pem, NULL); /* there may be none */
    return *ca_file ? read_file(ca_file, &a->pem, err) : 0;
}

/* ---- keys ---- */

static bool is_printable(const struct secret *key)
{
    for (const char *c = secret_text(key); *c; c++)
        if (*c < ' ' || *c > '~')
            return false;
    return strlen(secret_text(key)) == secret_len(key);
}

static int take_key(struct wallet_entry *e, const char *bytes, size_t size, size_t *at,
                    struct err *err)
{
    uint32_t len = 0;
    int r;

    if (size - *at < sizeof len)
        return err_set(err, -EINVAL, "the key of the broker %s is missing", e->broker->name);
    memcpy(&len, bytes + *at, sizeof len);
    *at += sizeof len;
    if (len == 0 || len > SECRET_MAX || size - *at < len)
        return err_set(err, -EINVAL, "the key of the broker %s is damaged", e->broker->name);
    r = secret_new(bytes + *at, len, &e->key, err);
    *at += len;
    if (r == 0 && !is_printable(e->key))
        return err_set(err, -EINVAL,
                       "the key of the broker %s has a character in it that no key has: it must "
                       "be one line of printable characters",
                       e->broker->name);
    if (r == 0)
        e->forms = censor_forms_new(secret_text(e->key), secret_len(e->key));
    return r;
}

static int take_keys(struct wallet *w, int fd, struct err *err)
{
    AUTO_CLOSE int owned = fd;
    AUTO_FREE char *bytes = NULL;
    struct stat st;
    size_t at = 0;
    ssize_t n;
    int r = 0;

    if (owned < 0 || fstat(owned, &st) < 0 || st.st_size <= 0 || st.st_size > GATEWAY_KEYS_MAX)
        return err_set(err, -EINVAL, "the keys of the task's brokers are missing");
    bytes = mem_alloc((size_t)st.st_size);
    n = pread(owned, bytes, (size_t)st.st_size, 0);
    for (size_t i = 0; r == 0 && i < w->count; i++)
        r = take_key(&w->entries[i], bytes, n > 0 ? (size_t)n : 0, &at, err);
    secret_wipe(bytes, (size_t)st.st_size);
    return r;
}

/* ---- the wallet ---- */

static int add_entries(struct wallet *w, const struct broker_list *brokers, const char *ca_file,
                       struct err *err)
{
    int r = read_common(&w->common, ca_file, err);

    if (r == 0)
        r = tls_trust_new(&w->common.trust, err);
    for (size_t i = 0; r == 0 && i < brokers->len; i++) {
        struct wallet_entry *e = &w->entries[w->count];
        struct authority *a = &w->own[w->count++];

        e->broker = &brokers->items[i];
        e->left = e->broker->requests;
        r = broker_find_place(e->broker, &e->place, err);
        if (r == 0 && e->broker->ca_file)
            r = read_authority(a, e->broker->ca_file, err);
        if (r == 0 && e->broker->ca_file)
            r = tls_trust_new(&a->trust, err);
        if (r < 0)
            (void)err_prefix(err, "broker %s", e->broker->name);
    }
    return r;
}

int wallet_new(const struct broker_list *brokers, int keys, const char *ca_file,
               struct wallet **ret_wallet, struct err *err)
{
    CLEANUP_PTR(wallet_free) struct wallet *w = mem_new(struct wallet);
    AUTO_CLOSE int owned = keys;
    int r = 0;

    if (brokers->len > BROKER_MAX)
        return err_set(err, -EINVAL, "the task has more than %d brokers", BROKER_MAX);
    if (brokers->len > 0)
        r = add_entries(w, brokers, ca_file, err);
    if (r == 0 && brokers->len > 0)
        r = take_keys(w, TAKE_FD(owned), err);
    if (r < 0)
        return r;
    *ret_wallet = TAKE_PTR(w);
    return 0;
}

void wallet_free(struct wallet *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->count; i++) {
        censor_forms_free(w->entries[i].forms);
        secret_free(w->entries[i].key);
        tls_trust_free(w->own[i].trust);
        buf_done(&w->own[i].pem);
    }
    tls_trust_free(w->common.trust);
    buf_done(&w->common.pem);
    free(w);
}

struct wallet_entry *wallet_find(struct wallet *w, const struct broker *broker)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->entries[i].broker == broker)
            return &w->entries[i];
    return NULL;
}

int wallet_trust(struct wallet *w, const struct wallet_entry *entry, struct tls_trust **ret_trust,
                 struct err *err)
{
    struct authority *a = &w->own[entry - w->entries];
    int r;

    if (!a->trust)
        a = &w->common;
    if (a->pem.len > 0) {
        r = tls_trust_add(a->trust, a->pem.data, a->pem.len, err);
        buf_done(&a->pem);
        if (r < 0)
            return err_prefix(err, "%s", a->what);
    }
    *ret_trust = a->trust;
    return 0;
}
