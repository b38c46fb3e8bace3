#include "spawner/process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/apply.h"
#include "sandbox/cgroup.h"
#include "sandbox/confine.h"
#include "sandbox/plan.h"
#include "sandbox/reroot.h"
#include "spawner/escort.h"
#include "spawner/ipc.h"
#include "spawner/patrol.h"
#include "spawner/pool.h"
#include "spawner/remnant.h"
#include "spawner/title.h"
#include "spawner/ward.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"

enum {
    WARDS_MAX = 1024,
    ORDERS_A_TURN = 16, /* then the tasks get their turn */
};

struct process {
    struct ward_means means;
    uint64_t group_count;
    int sock; /* -1: the daemon is gone */
    struct ward *wards;
    size_t count;
    bool blocked; /* the socket took no more news */
    struct patrol patrol;
    struct pool pool;
    struct remnant remnant;
};

static struct ward *find_ward(const struct process *p, uint64_t task)
{
    for (struct ward *w = p->wards; w; w = w->next)
        if (w->task == task && !w->exited_due && !w->exited_sent)
            return w;
    return NULL;
}

static struct ward *add_ward(struct process *p, uint64_t task)
{
    struct ward *w = ward_new(task);

    w->next = p->wards;
    p->wards = w;
    p->count++;
    return w;
}

/* ---- orders ---- */

static int read_plan(int fd, struct plan **ret_plan, struct err *err)
{
    struct stat st;
    AUTO_FREE char *bytes = NULL;
    ssize_t n;

    if (fd >= 0 && fstat(fd, &st) < 0)
        return err_set(err, -errno, "look at the plan of a task: %s", strerror(errno));
    if (fd < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > PLAN_BYTES_MAX)
        return err_set(err, -EINVAL, "the order to start a task came without a plan");
    bytes = mem_alloc((size_t)st.st_size);
    do
        n = pread(fd, bytes, (size_t)st.st_size, 0);
    while (n < 0 && errno == EINTR);
    if (n == st.st_size)
        return plan_take(TAKE_PTR(bytes), (size_t)n, ret_plan, err);
    secret_wipe(bytes, (size_t)st.st_size); /* the environment may be among it */
    return n < 0 ? err_set(err, -errno, "read the plan of a task: %s", strerror(errno))
                 : err_set(err, -EIO, "the plan of a task can't be read");
}

/* Where a task's end is that of all processes of its user, no two may have the same. */
static int check_user(const struct process *p, const struct plan *plan, struct err *err)
{
    for (const struct ward *w = p->wards; w; w = w->next)
        if (w->own_uid != 0 && w->own_uid == plan->outer_uid && w->at.pid != 0)
            return err_set(err, -EAGAIN,
                           "another task runs as user %u just now, which is this one's, too",
                           (unsigned)plan->outer_uid);
    return 0;
}

static void start_ward(struct process *p, struct ward *w, int *fds)
{
    struct err err;

    w->keys = TAKE_FD(fds[IPC_KEYS]);
    if (fds[1] < 0 || fds[2] < 0 || fds[3] < 0)
        (void)err_set(&err, -EINVAL, "the order to start a task came without its descriptors");
    else if (p->count > WARDS_MAX)
        (void)err_set(&err, -EAGAIN, "there are already %d tasks", WARDS_MAX);
    else if (read_plan(fds[0], &w->plan, &err) == 0 && check_user(p, w->plan, &err) == 0 &&
             ward_place(w, &p->means, fds, &err) == 0) {
        pool_learn(&p->pool, w->plan);
        return;
    }
    ward_fail(w, &err);
    w->exited_due = true;
}

/* Its descriptors found no place in our table. Whoever gave the order must hear of it. */
static void refuse_cut_order(struct process *p, const struct ipc_order *order)
{
    struct ward *w;
    struct err err;

    if (order->type != IPC_START || find_ward(p, order->task))
        return;
    w = add_ward(p, order->task);
    (void)err_set(&err, -EMFILE,
                  "the order to start a task lost its descriptors: too many open files");
    ward_fail(w, &err);
    w->exited_due = true;
}

static void obey(struct process *p, const struct ipc_order *order, int *fds)
{
    struct ward *w = find_ward(p, order->task);

    pool_rest(&p->pool);
    if (order->type == IPC_WARM)
        pool_want(&p->pool, order->count);
    else if (order->type == IPC_EXPECT)
        pool_expect(&p->pool, order->user);
    else if (order->type == IPC_START && !w)
        start_ward(p, add_ward(p, order->task), fds);
    else if (order->type == IPC_KILL && w)
        ward_end(w, order->grace_ms);
}

static void lose_daemon(struct process *p)
{
    (void)close(p->sock); /* it is at its end */
    p->sock = -1;
    pool_want(&p->pool, 0);
    for (struct ward *w = p->wards; w; w = w->next)
        ward_kill(w);
}

static void read_orders(struct process *p)
{
    for (int i = 0; i < ORDERS_A_TURN && p->sock >= 0; i++) {
        struct ipc_order order = { 0 };
        int fds[IPC_FDS];
        ssize_t n = fd_recv(p->sock, &order, sizeof order, fds, IPC_FDS);

        if (err_is_shortage((int)n))
            return; /* there is none, or it waits for us */
        if (n == sizeof order)
            obey(p, &order, fds);
        else if (n == -EMSGSIZE)
            refuse_cut_order(p, &order);
        else if (n <= 0)
            lose_daemon(p);
        for (size_t k = 0; k < IPC_FDS; k++)
            if (fds[k] >= 0)
                (void)close(fds[k]); /* the task has its own */
    }
}

/* ---- news ---- */

/* False: the socket is full, or gone. refusal: of REFUSED. */
static bool send_news(struct process *p, const struct ward *w, enum ipc_type type,
                      const struct gateway_word *refusal)
{
    struct ipc_news news;

    memset(&news, 0, sizeof news); /* no stray bytes of ours in the gaps */
    news.type = type;
    news.pid = w->started_pid;
    news.task = w->task;
    if (type == IPC_EXITED)
        news.exit = w->exit;
    if (type == IPC_REFUSED)
        news.refusal = *refusal;
    if (p->sock < 0)
        return true; /* nobody to tell */
    p->blocked = err_is_shortage(fd_send(p->sock, &news, sizeof news, NULL, 0));
    return !p->blocked; /* any other failure shows as EOF with the next poll */
}

static void tell_refusals(struct process *p, struct ward *w)
{
    while (w->refusals_told < w->refusal_count &&
           send_news(p, w, IPC_REFUSED, &w->refusals[w->refusals_told]))
        w->refusals_told++;
}

static void tell(struct process *p)
{
    p->blocked = false;
    for (struct ward *w = p->wards; w && !p->blocked; w = w->next) {
        if (w->started_due && send_news(p, w, IPC_STARTED, NULL))
            w->started_due = false;
        if (!w->started_due && !w->exited_sent)
            tell_refusals(p, w);
        if (w->exited_due && !p->blocked && send_news(p, w, IPC_EXITED, NULL)) {
            w->exited_due = false;
            w->exited_sent = true;
        }
    }
}

static void drop_finished(struct process *p)
{
    struct ward **at = &p->wards;

    while (*at) {
        struct ward *w = *at;

        if (!ward_is_reaped(w) || !w->exited_sent) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        remnant_add(&p->remnant, &w->at);
        ward_free(w);
        p->count--;
        pool_rest(&p->pool);
    }
}

/* ---- the loop ---- */

static void earlier(uint64_t *at_ms, uint64_t other_ms)
{
    if (other_ms != WARD_NEVER && (*at_ms == WARD_NEVER || other_ms < *at_ms))
        *at_ms = other_ms;
}

/* A task's plan is in our memory, which a new process would get a copy of. */
static bool holds_plan(const struct process *p)
{
    for (const struct ward *w = p->wards; w; w = w->next)
        if (w->plan)
            return true;
    return false;
}

static int timeout_ms(const struct process *p)
{
    uint64_t next_ms = WARD_NEVER, now_ms = clock_mono_ms();

    for (const struct ward *w = p->wards; w; w = w->next) {
        earlier(&next_ms, w->kill_at_ms);
        earlier(&next_ms, w->hard_at_ms);
        earlier(&next_ms, w->stuck_at_ms);
    }
    earlier(&next_ms, p->patrol.due_ms);
    if (!holds_plan(p)) /* else the pool has to wait for the plan's end, whatever the time */
        earlier(&next_ms, p->pool.due_ms);
    if (!remnant_is_empty(&p->remnant))
        return 0;
    if (next_ms == WARD_NEVER)
        return -1;
    if (next_ms <= now_ms)
        return 0;
    return next_ms - now_ms > 60000 ? 60000 : (int)(next_ms - now_ms);
}

/* What a descriptor of a task's is for. */
enum source { SOURCE_WORDS, SOURCE_EGRESS, SOURCE_CONTROL, SOURCE_TASK };

struct watch {
    struct ward *ward;
    struct pool_item *item; /* in place of a ward; without either it is the pool's mounts */
    enum source source;
};

enum { FDS_A_TASK = 4, FDS_AN_ITEM = 2 };

static int fd_of(const struct ward *w, enum source source)
{
    switch (source) {
    case SOURCE_WORDS:
        return w->escort ? escort_words(w->escort) : -1;
    case SOURCE_EGRESS:
        return w->escort ? escort_pidfd(w->escort) : -1;
    case SOURCE_CONTROL: /* its end would be told twice, and we be in the way of the second time */
        return w->ended ? -1 : w->at.control;
    case SOURCE_TASK:
        return w->at.pid ? w->at.pidfd : -1;
    }
    return -1;
}

static nfds_t list_item(struct pool_item *item, struct pollfd *fds, struct watch *watches)
{
    nfds_t n = 0;

    if (item->at.control >= 0) {
        watches[n] = (struct watch){ .item = item, .source = SOURCE_CONTROL };
        fds[n++] = (struct pollfd){ .fd = item->at.control, .events = POLLIN };
    }
    if (item->at.pidfd >= 0) {
        watches[n] = (struct watch){ .item = item, .source = SOURCE_TASK };
        fds[n++] = (struct pollfd){ .fd = item->at.pidfd, .events = POLLIN };
    }
    return n;
}

static nfds_t list_pool(struct pool *pool, struct pollfd *fds, struct watch *watches)
{
    nfds_t n = 0;

    for (size_t i = 0; i < POOL_MAX; i++)
        n += list_item(&pool->items[i], fds + n, watches + n);
    if (pool->mounts >= 0) {
        watches[n] = (struct watch){ 0 };
        fds[n++] = (struct pollfd){ .fd = pool->mounts, .events = POLLPRI };
    }
    return n;
}

/* fds and watches: room for all of the pool, FDS_A_TASK and one. Only what is open: poll(2) refuses
 * more entries than there may be open files. */
static nfds_t list_fds(struct process *p, struct pollfd *fds, struct watch *watches)
{
    nfds_t n = 0;

    fds[n++] =
        (struct pollfd){ .fd = p->sock, .events = (short)(p->blocked ? POLLIN | POLLOUT : POLLIN) };
    for (struct ward *w = p->wards; w; w = w->next) {
        for (enum source source = SOURCE_WORDS; source <= SOURCE_TASK; source++) {
            int fd = fd_of(w, source);

            if (fd < 0)
                continue;
            watches[n] = (struct watch){ .ward = w, .source = source };
            fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
        }
    }
    return n + list_pool(&p->pool, fds + n, watches + n);
}

static void look_at_pool(struct pool *pool, const struct watch *watch)
{
    if (!watch->item)
        pool_renew(pool);
    else if (watch->source == SOURCE_CONTROL)
        pool_read(pool, watch->item);
    else
        pool_reap(pool, watch->item);
}

static void look(const struct watch *watch)
{
    switch (watch->source) {
    case SOURCE_WORDS:
        escort_read(watch->ward->escort);
        return;
    case SOURCE_EGRESS:
        escort_reap(watch->ward->escort);
        return;
    case SOURCE_CONTROL:
        ward_read(watch->ward);
        return;
    case SOURCE_TASK:
        ward_reap(watch->ward);
        return;
    }
}

static void turn(struct process *p)
{
    size_t room = FDS_A_TASK * p->count + (size_t)FDS_AN_ITEM * POOL_MAX + 2;
    AUTO_FREE struct pollfd *fds = mem_calloc(room, sizeof fds[0]);
    AUTO_FREE struct watch *watches = mem_calloc(room, sizeof watches[0]);
    nfds_t n = list_fds(p, fds, watches);
    uint64_t now_ms;
    int ready;

    ready = poll(fds, n, timeout_ms(p));
    if (ready < 0)
        return; /* EINTR; ENOMEM passes */
    for (nfds_t i = 1; i < n; i++)
        if (fds[i].revents && !watches[i].ward)
            look_at_pool(&p->pool, &watches[i]);
        else if (fds[i].revents)
            look(&watches[i]);
    now_ms = clock_mono_ms();
    for (struct ward *w = p->wards; w; w = w->next)
        ward_check(w, now_ms);
    patrol_walk(&p->patrol, p->wards, now_ms);
    if (fds[0].revents & ~POLLOUT)
        read_orders(p);
    tell(p);
    drop_finished(p);
    if (!holds_plan(p))
        pool_walk(&p->pool, now_ms);
    if (ready == 0)
        remnant_lessen(&p->remnant);
}

/* ---- becoming it ---- */

/* The daemon decides about signals; the terminal's and the service manager's reach us too. */
static void ignore_signals(void)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE };
    sigset_t none;

    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
        (void)signal(ignored[i], SIG_IGN); /* can't fail for these */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Up to four descriptors a task, two more with an egress process, and many while one is made. What
 * tasks get is set for each. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* then fewer tasks fit, which each start says */
    }
}

/* Puts the two descriptors that stay at 3 and 4 and closes all others. */
static int settle(int *sock, int kept_fd, struct err *err)
{
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Copies above the places first, so that neither is overwritten. */
    AUTO_CLOSE int high_sock = fcntl(*sock, F_DUPFD_CLOEXEC, 5);
    AUTO_CLOSE int high_lock = kept_fd < 0 ? -1 : fcntl(kept_fd, F_DUPFD_CLOEXEC, 5);

    if (null < 0 || high_sock < 0 || (kept_fd >= 0 && high_lock < 0) ||
        dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup3(high_sock, 3, O_CLOEXEC) < 0 || (high_lock >= 0 && dup3(high_lock, 4, O_CLOEXEC) < 0))
        return err_set(err, -errno, "arrange the spawner's descriptors: %s", strerror(errno));
    *sock = 3;
    null = high_sock = high_lock = -1; /* closed with all the others */
    if (close_range(kept_fd < 0 ? 4 : 5, ~0u, 0) < 0 || fd_set_nonblock(*sock) < 0)
        return err_set(err, -errno, "close the spawner's descriptors: %s", strerror(errno));
    return 0;
}

/* Plans hold the secrets of tasks that aren't running yet. */
static void forget_plans(void *ctx)
{
    const struct process *p = ctx;

    for (struct ward *w = p->wards; w; w = w->next) {
        plan_free(w->plan);
        w->plan = NULL;
    }
}

/* Whether a child of ours is one of a task's two, rather than what a task left. */
static bool is_meant(pid_t pid, void *ctx)
{
    const struct process *p = ctx;

    for (struct ward *w = p->wards; w; w = w->next)
        if (w->at.pid == pid || (w->escort && escort_pid(w->escort) == pid))
            return true;
    return false;
}

/* As where none can be settled: without it limits are what is measured, and the daemon says so. */
static struct cgroup *hold_cgroup(struct cgroup *cgroup, struct spawner_exit *ready)
{
    struct err err;

    if (!cgroup || cgroup_hold(cgroup, &err) == 0)
        return cgroup;
    cgroup_leave(cgroup);
    (void)snprintf(ready->error, sizeof ready->error, "%s", err.text);
    return NULL;
}

_Noreturn void process_run(const struct process_means *means, int sock, int kept_fd)
{
    const struct plan_ground *ground = apply_ground(means->apply);
    struct process p = { .sock = sock };
    struct cgroup *cgroup;
    struct ipc_news ready;
    struct err err = { 0 };
    int r;

    p.means = (struct ward_means){ .apply = means->apply,
                                   .egress = means->egress,
                                   .pool = &p.pool,
                                   .group_count = &p.group_count,
                                   .forget = forget_plans,
                                   .is_meant = is_meant,
                                   .ctx = &p };
    memset(&ready, 0, sizeof ready);
    ready.type = IPC_READY;
    (void)mallopt(M_MXFAST, 0); /* what is freed in small pieces is touched once, not again later */
    title_set("nairid: spawner");
    (void)setsid(); /* a fork leads no group: can't fail */
    (void)prctl(PR_SET_NAME, "nairid-spawner");
    ignore_signals();
    raise_file_limit();
    if (ground->rung == PLAN_RUNG_BARE)
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1ul); /* then what tasks leave comes to us */
    else if (reroot_is_needed())
        (void)reroot(); /* where it fails, the first task says what is refused */
    r = settle(&p.sock, kept_fd, &err);
    p.means.cgroup = cgroup = r == 0 ? hold_cgroup(means->cgroup, &ready.exit) : NULL;
    pool_init(&p.pool, means->apply, cgroup);
    if (r < 0 || confine_spawner(ground, means->is_watching, &err) < 0) {
        ready.exit.failure = err.code;
        (void)snprintf(ready.exit.error, sizeof ready.exit.error, "%s", err.text);
    }
    (void)malloc_trim(0); /* each process 1 would begin with a copy, and end with giving it back */
    r = fd_send(p.sock, &ready, sizeof ready, NULL, 0);
    if (r < 0) /* then the daemon hears of our end only */
        fprintf(stderr, "nairid: the spawner can't tell that it is ready: %s\n", strerror(-r));
    if (r < 0 || ready.exit.failure < 0)
        _exit(1);
    while (p.sock >= 0 || p.wards || !pool_is_empty(&p.pool))
        turn(&p);
    if (cgroup)
        cgroup_leave(cgroup);
    _exit(0);
}
