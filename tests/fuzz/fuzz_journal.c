/* A whole file as the journal: refused with a sentence and left as it is, or a journal that can be
 * read, takes a message, and has it when it is opened again. */
#include "support/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/batch.h"
#include "store/journal.h"
#include "store/statedir.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/ulid.h"
#include "util/utf8.h"

#define NEW_ID "cmsg_00000000000000000000000new"

struct place {
    char *dir;  /* as made */
    char *path; /* as journal_open() wants it */
    int fd;
};

static struct place fuzz_place = { .fd = -1 };

static void remove_dir(void)
{
    tempdir_free(fuzz_place.dir);
}

static const struct place *place(void)
{
    if (fuzz_place.fd < 0) {
        fuzz_place.dir = tempdir_new();
        FUZZ_CHECK(statedir_open(fuzz_place.dir, &fuzz_place.path, &fuzz_place.fd, NULL) == 0);
        (void)atexit(remove_dir);
    }
    return &fuzz_place;
}

static void put_file(const struct place *p, const uint8_t *data, size_t size)
{
    AUTO_CLOSE int fd = -1;

    (void)unlinkat(p->fd, "journal.db-wal", 0); /* as a rule there is none */
    (void)unlinkat(p->fd, "journal.db-journal", 0);
    fd = openat(p->fd, "journal.db", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && fd_write_all(fd, data, size) == 0);
}

/* Before the version of an older or empty one is brought up to ours it is put into WAL mode, and
 * that shows in the file. */
static bool is_old_without_wal(const uint8_t *data, size_t size)
{
    return size >= 100 && data[18] == 1 && data[60] == 0 && data[61] == 0 && data[62] == 0 &&
           data[63] < JOURNAL_SCHEMA;
}

static void check_untouched(const struct place *p, const uint8_t *data, size_t size)
{
    AUTO_FREE char *path = mem_printf("%s/journal.db", p->path);
    CLEANUP(buf_done) struct buf b = { 0 };

    FUZZ_CHECK(fd_read_file(path, size + 1, &b, NULL) == 0);
    FUZZ_CHECK(b.len == size && (size == 0 || memcmp(b.data, data, size) == 0));
}

struct found {
    uint64_t last_seq;
    bool has_new;
};

static void on_row(struct task *t, void *ctx)
{
    struct found *f = ctx;

    FUZZ_CHECK(t->seq > f->last_seq && !str_is_empty(t->id) && !str_is_empty(t->job_id));
    f->last_seq = t->seq;
    f->has_new |= str_eq(t->id, NEW_ID);
    task_free(t);
}

static void on_tombstone(const char *id, int64_t acked_ms, void *ctx)
{
    (void)acked_ms;
    (void)ctx;
    FUZZ_CHECK(!str_is_empty(id));
}

static void check_refusal(int r, const struct err *err)
{
    FUZZ_CHECK(r == err->code && r != -EACCES && r != -ENOENT && err->text[0]);
    FUZZ_CHECK(utf8_is_valid(err->text, strlen(err->text)));
}

/* Returns whether it is stored. */
static bool add_one(struct journal *j, uint64_t seq)
{
    struct task t = { .state = TASK_RECEIVED, .seq = seq };
    struct batch_op op = { .type = BATCH_INSERT, .task = &t };
    struct store_batch batch = { .ops = &op, .len = 1, .cap = 1 };
    struct store_batch *batches[] = { &batch };
    AUTO_FREE char *id = mem_strdup(NEW_ID);
    struct err err = { 0 };
    int r;

    t.id = t.ack_id = t.job_id = id;
    r = journal_commit(j, batches, 1, &err);
    if (r < 0)
        check_refusal(r, &err);
    return r == 0;
}

/* Returns whether the new message was stored. */
static bool use(struct journal *j, bool want_new)
{
    struct found found = { 0 };
    struct err err = { 0 };
    int r = journal_load(j, on_row, on_tombstone, &found, &err);
    bool stored = false;

    FUZZ_CHECK(ulid_has_prefix(journal_instance_id(j), "ccaid"));
    if (r < 0)
        check_refusal(r, &err);
    else if (want_new)
        FUZZ_CHECK(found.has_new);
    else if (!found.has_new)
        stored = add_one(j, journal_max_seq(j) + 1);
    return stored;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct place *p = place();
    struct journal *j = NULL;
    struct err err = { 0 };
    bool stored;
    int r;

    put_file(p, data, size);
    r = journal_open(p->path, p->fd, &j, &err);
    if (r < 0) {
        check_refusal(r, &err);
        if (!is_old_without_wal(data, size))
            check_untouched(p, data, size);
        return 0;
    }
    stored = use(j, false);
    journal_close(j, stored);
    if (!stored)
        return 0;
    r = journal_open(p->path, p->fd, &j, &err);
    if (r < 0) { /* a forged list of free pages is seen only once a page was taken from it */
        check_refusal(r, &err);
        return 0;
    }
    (void)use(j, true);
    journal_close(j, true);
    return 0;
}
