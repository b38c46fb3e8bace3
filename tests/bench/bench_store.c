/* How many messages a second the journal takes: bench_store [DIR]. Each line is a size of batch; a
 * batch is submitted when the one before is durable, then the same with eight on the way. Prints
 * to standard output; the directory (default: one made and removed under TMPDIR or /tmp) decides
 * which disk is measured. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "store/store.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"

enum { RUN_MS = 2000, TEXT = 500 };

struct bench {
    struct loop *loop;
    struct store *store;
    uint64_t seq, batch, batches_done, until_ms;
    uint64_t on_the_way;
    int rows;
    char text[TEXT + 1];
};

static void submit(struct bench *b)
{
    struct store_batch *batch = store_batch_new();

    for (int i = 0; i < b->rows; i++) {
        char id[32];
        struct task t = { .seq = ++b->seq,
                          .id = id,
                          .job_id = (char[]){ "job" },
                          .prompt = b->text,
                          .payload = b->text };

        (void)snprintf(id, sizeof id, "msg_%" PRIu64, b->seq);
        store_batch_insert(batch, &t);
    }
    b->on_the_way++;
    store_submit(b->store, batch, ++b->batch);
}

static void on_done(uint64_t batch_id, int result, const struct err *err, void *ctx)
{
    struct bench *b = ctx;

    (void)batch_id;
    if (result < 0) {
        (void)fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
    b->batches_done++;
    b->on_the_way--;
    if (clock_mono_ms() < b->until_ms)
        submit(b);
    else if (b->on_the_way == 0)
        loop_stop(b->loop);
}

static void measure(struct bench *b, int rows, int ahead)
{
    uint64_t start_ms = clock_mono_ms(), span_ms;

    b->rows = rows;
    b->batches_done = 0;
    b->until_ms = start_ms + RUN_MS;
    for (int i = 0; i < ahead; i++)
        submit(b);
    loop_run(b->loop);
    span_ms = clock_mono_ms() - start_ms;
    (void)printf("%3d a batch, %d on the way: %8" PRIu64 " batches/s %8" PRIu64 " messages/s\n",
                 rows, ahead, b->batches_done * 1000 / span_ms,
                 b->batches_done * (uint64_t)rows * 1000 / span_ms);
}

static void run_all(struct bench *b)
{
    static const int rows[] = { 1, 10, 100 };

    memset(b->text, 'x', TEXT);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        measure(b, rows[i], 1);
        measure(b, rows[i], 8);
    }
}

static void remove_journal(const char *dir)
{
    static const char *const names[] = { "journal.db", "nairid.lock", "reserve" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", dir, names[i]);

        (void)unlink(path); /* rmdir() tells if something stayed */
    }
    if (rmdir(dir) < 0)
        perror(dir);
}

int main(int argc, char **argv)
{
    const char *base = getenv("TMPDIR");
    AUTO_FREE char *made = mem_printf("%s/bench-store.XXXXXX", base ? base : "/tmp");
    const char *dir = argc > 1 ? argv[1] : mkdtemp(made);
    struct bench b = { 0 };
    struct err err = { 0 };

    if (!dir || store_open(dir, &b.store, &err) < 0 || loop_new(&b.loop, &err) < 0 ||
        store_start(b.store, b.loop, on_done, &b, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    b.seq = store_max_seq(b.store);
    run_all(&b);
    store_free(b.store);
    loop_free(b.loop);
    if (dir == made)
        remove_journal(dir);
    return 0;
}
