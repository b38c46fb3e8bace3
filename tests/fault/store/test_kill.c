/* SIGKILL of the writing process in the midst of its batches, again and again on one journal: what
 * the next start finds is whole batches, a beginning of what was submitted without a gap, and
 * everything that was reported as done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop/loop.h"
#include "support/journalprobe.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/mem.h"

enum { ROUNDS = 40, ROWS = 60, TEXT = 1500, AHEAD = 4 };

/* Batch n inserts ROWS messages of its number and marks those of batch n - 1 as running; what is
 * older by two goes. */
static struct store_batch *make_batch(uint64_t n)
{
    struct store_batch *b = store_batch_new();

    for (uint64_t i = 0; i < ROWS; i++) {
        struct task *t = journalprobe_task(n * ROWS + i);

        free(t->prompt);
        t->prompt = mem_alloc(TEXT + 1);
        memset(t->prompt, 'p', TEXT);
        t->fence = n;
        store_batch_insert(b, t);
        task_free(t);
    }
    for (uint64_t i = 0; n > 1 && i < ROWS; i++) {
        struct task *t = journalprobe_task((n - 1) * ROWS + i);

        t->fence = n - 1;
        t->attempt = (uint32_t)n;
        if (task_step(t, TASK_EV_START) == 0)
            store_batch_update(b, t);
        task_free(t);
    }
    for (uint64_t i = 0; n > 2 && i < ROWS; i++) {
        AUTO_FREE char *id = mem_printf("msg_%llu", (unsigned long long)((n - 2) * ROWS + i));

        store_batch_delete(b, id);
    }
    return b;
}

struct writer {
    struct store *store;
    int report;
    uint64_t next;
};

static void on_done(uint64_t batch_id, int result, const struct err *err, void *ctx)
{
    struct writer *w = ctx;

    (void)err;
    if (result < 0 || write(w->report, &batch_id, sizeof batch_id) != sizeof batch_id)
        _exit(1);
    store_submit(w->store, make_batch(w->next), w->next);
    w->next++;
}

/* Never returns: it is killed. */
static void write_until_killed(const char *dir, uint64_t next, int report)
{
    struct writer w = { .report = report, .next = next };
    struct loop *loop = NULL;

    if (store_open(dir, &w.store, NULL) < 0 || loop_new(&loop, NULL) < 0 ||
        store_start(w.store, loop, on_done, &w, NULL) < 0)
        _exit(1);
    for (int i = 0; i < AHEAD; i++, w.next++)
        store_submit(w.store, make_batch(w.next), w.next);
    loop_run(loop);
    _exit(1);
}

/* Kills the writer when it has reported so many batches, and then burns some microseconds, so that
 * the moment falls anywhere in a batch. Returns the last batch that it reported. */
static uint64_t run_and_kill(const char *dir, uint64_t next, int reports, unsigned spin)
{
    uint64_t last = next - 1, done;
    int pipes[2], status;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(pipes[0]);
        write_until_killed(dir, next, pipes[1]);
    }
    (void)close(pipes[1]);
    for (int i = 0; i < reports; i++) {
        assert_int_equal(read(pipes[0], &done, sizeof done), sizeof done);
        last = done;
    }
    for (volatile unsigned i = 0; i < spin; i++)
        ;
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(pipes[0], &done, sizeof done) == sizeof done)
        last = done; /* reported before it died */
    (void)close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return last;
}

/* Returns the newest batch on the disk, 0 if none. */
static uint64_t check_journal(const char *dir)
{
    struct journalprobe p;
    uint64_t newest = 0;

    journalprobe_begin(&p, dir);
    if (p.row_count > 0)
        newest = p.rows[p.row_count - 1]->fence;
    assert_int_equal(p.row_count, newest == 0 ? 0 : newest == 1 ? ROWS : 2 * ROWS);
    for (size_t i = 0; i < p.row_count; i++) {
        const struct task *t = p.rows[p.row_count - 1 - i];
        uint64_t batch = i < ROWS ? newest : newest - 1;

        assert_true(t->fence == batch);
        assert_true(t->seq == (batch + 1) * ROWS - 1 - i % ROWS);
        assert_int_equal(t->state, i < ROWS ? TASK_RECEIVED : TASK_RUNNING);
        assert_true(t->attempt == (i < ROWS ? 0 : newest));
    }
    journalprobe_end(&p);
    return newest;
}

static void killed_writers_leave_whole_batches_and_all_that_was_reported(void **state)
{
    char *dir = tempdir_new();
    uint64_t newest = 0;
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        int reports = rand_r(&seed) % 12;
        unsigned spin = (unsigned)rand_r(&seed) % 3000000;
        uint64_t reported = run_and_kill(dir, newest + 1, reports, spin);
        uint64_t found = check_journal(dir);

        assert_true(found >= reported);
        assert_true(found <= reported + AHEAD);
        newest = found;
    }
    assert_true(newest > ROUNDS);
    tempdir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_writers_leave_whole_batches_and_all_that_was_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
