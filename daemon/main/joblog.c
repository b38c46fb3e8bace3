#include "main/joblog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "util/mem.h"
#include "util/str.h"

struct joblog_line {
    STAILQ_ENTRY(joblog_line) next;
    size_t bytes; /* all of it, so that many short lines are bounded, too */
    char *job_id, *text;
};

struct joblog {
    pthread_mutex_t lock;
    STAILQ_HEAD(, joblog_line) lines;
    size_t bytes;
    bool forgot;
};

static void line_free(struct joblog_line *line)
{
    free(line->job_id);
    free(line->text);
    free(line);
}

static void forget_oldest(struct joblog *l)
{
    struct joblog_line *oldest = STAILQ_FIRST(&l->lines);

    STAILQ_REMOVE_HEAD(&l->lines, next);
    l->bytes -= oldest->bytes;
    line_free(oldest);
}

struct joblog *joblog_new(void)
{
    struct joblog *l = mem_new(struct joblog);

    STAILQ_INIT(&l->lines);
    (void)pthread_mutex_init(&l->lock, NULL); /* can't fail with default attributes here */
    return l;
}

void joblog_free(struct joblog *l)
{
    if (!l)
        return;
    while (!STAILQ_EMPTY(&l->lines))
        forget_oldest(l);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

void joblog_add(const char *job_id, const char *line, void *ctx)
{
    struct joblog *l = ctx;
    struct joblog_line *added = mem_new(struct joblog_line);

    added->job_id = mem_strdup(job_id);
    added->text = mem_strdup(line);
    added->bytes = sizeof *added + strlen(job_id) + strlen(line);
    (void)pthread_mutex_lock(&l->lock);
    STAILQ_INSERT_TAIL(&l->lines, added, next);
    l->bytes += added->bytes;
    while (l->bytes > JOBLOG_MAX_BYTES) {
        forget_oldest(l);
        l->forgot = true;
    }
    (void)pthread_mutex_unlock(&l->lock);
}

size_t joblog_visit(struct joblog *l, const char *job_id, joblog_fn fn, void *ctx, bool *ret_forgot)
{
    const struct joblog_line *line;
    size_t n = 0;

    (void)pthread_mutex_lock(&l->lock);
    STAILQ_FOREACH(line, &l->lines, next)
    {
        if (!str_eq(line->job_id, job_id))
            continue;
        fn(line->text, ctx);
        n++;
    }
    *ret_forgot = l->forgot;
    (void)pthread_mutex_unlock(&l->lock);
    return n;
}
