#include "sandbox/gauge.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "sandbox/living.h"
#include "sandbox/plan.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"

enum {
    CALM_MS = 500,
    NEAR_MS = 100,        /* between looks when a quarter of the memory is used */
    SHARE = 10,           /* a walk that took a second is followed by so many without */
    ENTRIES_FIRST = 2000, /* before the program runs */
    ENTRIES_A_STEP = 256, /* then process 1 hears what else there is */
    SLACK = 64,           /* of the limit, by which a job that is past it already may grow */
    TEXT_BYTES = 4096,
    GENERATIONS = 64,
    SURE_PASSES = 2, /* in a row, over what can't be seen in one moment */
    SHORT_SHARE = 8, /* of a file system: with less than that free, room is short */
};

/* ---- numbers in text ---- */

static uint64_t number(const char *s)
{
    uint64_t n = 0;

    while (*s == ' ' || *s == '\t')
        s++;
    for (; *s >= '0' && *s <= '9'; s++)
        n = n * 10 + (uint64_t)(*s - '0');
    return n;
}

/* The number behind NAME at the beginning of a line; 0 where there is none. */
static uint64_t field(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0)
            return number(line + len);
    }
    return 0;
}

/* ---- processes ---- */

/* The text of /proc/PID/NAME, or of a thread's; false where there is none, or none for us. */
static bool read_proc(int proc, const char *whose, const char *name, char text[TEXT_BYTES])
{
    char path[64];
    AUTO_CLOSE int fd = -1;
    ssize_t n;
    size_t len = strlen(whose);

    if (len + 1 + strlen(name) >= sizeof path)
        return false;
    memcpy(path, whose, len);
    path[len] = '/';
    memcpy(path + len + 1, name, strlen(name) + 1);
    fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, TEXT_BYTES - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

/* Of its own and of children that it waited for, proc_pid_stat(5): utime to cstime. */
static uint64_t cpu_of(const struct gauge *g, const char *pid)
{
    enum { UTIME = 11, CSTIME = 14 }; /* counted from the state, behind the name */
    char text[TEXT_BYTES];
    const char *at = read_proc(g->proc, pid, "stat", text) ? strrchr(text, ')') : NULL;
    uint64_t ticks = 0;

    for (int i = -1; at && i < CSTIME; i++) {
        at = strchr(at + 1, ' ');
        if (at && i + 1 >= UTIME)
            ticks += number(at);
    }
    return ticks * 1000 / (uint64_t)g->ticks_per_s;
}

struct sum {
    uint64_t own_bytes, shared_bytes, cpu_ms, threads;
};

/* exact: what is shared is counted once. The kernel tells that of what may be traced only. */
static void add_memory_of(const struct gauge *g, const char *path, bool exact, struct sum *sum)
{
    char text[TEXT_BYTES];

    if (exact && read_proc(g->proc, path, "smaps_rollup", text)) {
        sum->own_bytes += field(text, "Pss_Anon:") * 1024;
        sum->shared_bytes += field(text, "Pss_Shmem:") * 1024;
    } else if (read_proc(g->proc, path, "status", text)) {
        sum->own_bytes += field(text, "RssAnon:") * 1024;
        sum->shared_bytes += field(text, "RssShmem:") * 1024;
        sum->threads += field(text, "Threads:");
    }
}

static void add_memory(const struct gauge *g, const char *pid, bool exact, struct sum *sum)
{
    char path[LIVING_PATH_BYTES];
    struct sum own = { 0 };

    add_memory_of(g, pid, exact, &own);
    if (own.own_bytes + own.shared_bytes == 0 && living_thread(g->proc, pid, path)) {
        own = (struct sum){ 0 };
        add_memory_of(g, path, exact, &own);
    }
    sum->own_bytes += own.own_bytes;
    sum->shared_bytes += own.shared_bytes;
    sum->threads += own.threads;
}

/* Memory files that are mapped are among what is shared already. */
static uint64_t total(const struct sum *sum, uint64_t lent_bytes)
{
    return sum->own_bytes + (sum->shared_bytes > lent_bytes ? sum->shared_bytes : lent_bytes);
}

static uint64_t parent_of(const struct gauge *g, const char *pid)
{
    char text[TEXT_BYTES];

    return read_proc(g->proc, pid, "status", text) ? field(text, "PPid:") : 0;
}

static bool is_pid(const char *name)
{
    return name[0] >= '1' && name[0] <= '9';
}

/* Whether a process is one of the task's: in a /proc of its own all but this one, which is 1; in
 * the host's all that are below this one, to which orphans come. */
static bool is_tasks(const struct gauge *g, const char *pid)
{
    char next[24];
    uint64_t parent;

    if (!g->shares_proc)
        return strcmp(pid, "1") != 0;
    if (number(pid) == g->self)
        return false;
    parent = parent_of(g, pid);
    for (int i = 0; i < GENERATIONS; i++) {
        if (parent == g->self || parent <= 1)
            return parent == g->self;
        parent = parent_of(g, str_u64(next, parent));
    }
    return true; /* only who hides has so many ancestors */
}

/* Over all of the task's processes. */
static struct sum add_up(const struct gauge *g, bool exact)
{
    _Alignas(struct dirent64) char bytes[TEXT_BYTES];
    struct sum sum = { 0 };
    ssize_t n;

    (void)lseek(g->proc, 0, SEEK_SET); /* can't fail: the directory is open */
    while ((n = getdents64(g->proc, bytes, sizeof bytes)) > 0) {
        const struct dirent64 *e;

        for (ssize_t at = 0; at < n; at += e->d_reclen) {
            e = (const struct dirent64 *)(const void *)(bytes + at);
            if (!is_pid(e->d_name) || !is_tasks(g, e->d_name))
                continue;
            add_memory(g, e->d_name, exact, &sum);
            if (!exact)
                sum.cpu_ms += cpu_of(g, e->d_name);
        }
    }
    return sum;
}

static uint64_t children_ms(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_CHILDREN, &usage) < 0)
        return 0;
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static bool has_too_much_memory(struct gauge *g, const struct sum *rough)
{
    struct sum exact;

    if (g->memory_bytes == 0)
        return false;
    if (total(rough, g->lent_bytes) <= g->memory_bytes) {
        g->lent_over = 0;
        return false;
    }
    exact = add_up(g, true);
    if (total(&exact, 0) > g->memory_bytes)
        return true;
    if (total(&exact, g->lent_bytes) <= g->memory_bytes) {
        g->lent_over = 0;
        return false;
    }
    /* the files were looked at before the processes: they may have become something else since */
    if (g->lent_over == 0)
        g->lent_over = g->lent_passes;
    return g->lent_passes - g->lent_over >= SURE_PASSES;
}

/* What is in memory files, mapped or not. */
static void measure_lent(struct gauge *g, uint64_t now_ms)
{
    uint64_t took_ms, pause_ms = g->near ? NEAR_MS : CALM_MS;

    if (!g->held_memory.walking)
        g->lent_began_ms = now_ms;
    if (!held_step(&g->held_memory, ENTRIES_A_STEP))
        return;
    now_ms = clock_mono_ms();
    took_ms = now_ms - g->lent_began_ms;
    g->lent_due_ms = now_ms + (took_ms * SHARE > pause_ms ? took_ms * SHARE : pause_ms);
    g->lent_bytes = g->held_memory.bytes;
    g->lent_passes++;
}

static enum limit measure_processes(struct gauge *g, uint64_t now_ms)
{
    struct sum sum = add_up(g, false);
    uint64_t cpu_ms = sum.cpu_ms + children_ms();

    /* less than before: of some that are gone it is known only that they used something */
    if (cpu_ms > g->cpu_total_ms)
        g->cpu_used_ms += cpu_ms - g->cpu_total_ms;
    g->cpu_total_ms = cpu_ms;
    g->near = g->memory_bytes > 0 && total(&sum, g->lent_bytes) > g->memory_bytes / 4;
    g->processes_due_ms = now_ms + (g->near ? NEAR_MS : CALM_MS);
    if (has_too_much_memory(g, &sum))
        return LIMIT_MEMORY;
    if (g->threads > 0 && sum.threads > g->threads)
        return LIMIT_PIDS;
    return g->cpu_time_ms > 0 && g->cpu_used_ms > g->cpu_time_ms ? LIMIT_CPU_TIME : LIMIT_NONE;
}

/* ---- trees ---- */

/* Whether a file system of the trees has changed since this was asked last. */
static bool has_changed(struct gauge *g, uint64_t *ret_pause_ms)
{
    bool changed = !g->known;

    *ret_pause_ms = CALM_MS;

    for (size_t i = 0; i < g->meter.root_count; i++) {
        struct statfs fs;
        uint64_t fs_state;

        if (fstatfs(g->meter.roots[i], &fs) < 0)
            return true;
        fs_state = (uint64_t)fs.f_bfree * 31 + (uint64_t)fs.f_ffree;
        changed = changed || fs_state != g->fs_state[i];
        if (fs.f_bfree < fs.f_blocks / SHORT_SHARE || fs.f_ffree < fs.f_files / SHORT_SHARE)
            *ret_pause_ms = NEAR_MS; /* the spawner may have to know soon who fills it */
        g->fs_state[i] = fs_state;
    }
    return changed;
}

/* What the job may have: the limit, or if it had more before, hardly more than that. */
static uint64_t allowed(const struct gauge *g)
{
    if (g->tree_first <= g->tree_bytes)
        return g->tree_bytes;
    return g->tree_first > UINT64_MAX - g->tree_bytes ? UINT64_MAX
                                                      : g->tree_first + g->tree_bytes / SLACK;
}

static void end_walk(struct gauge *g, uint64_t now_ms)
{
    uint64_t took_ms = now_ms - g->walk_began_ms, used = g->meter.bytes, names;
    bool hid = g->meter.hidden || (g->counts_held && g->held_disk.hidden), hides;

    if (g->counts_held && used <= UINT64_MAX - g->held_disk.bytes)
        used += g->held_disk.bytes;
    g->walking = false;
    g->tree_due_ms =
        now_ms + (took_ms * SHARE > g->tree_pause_ms ? took_ms * SHARE : g->tree_pause_ms);
    if (!g->known)
        g->tree_first = g->meter.bytes;
    if (!g->known)
        g->names_first = g->meter.names;
    hides = hid && g->hid_before; /* one that is just ending may look as if it did */
    g->hid_before = hid;
    names = g->meter.names + (g->counts_held ? g->held_disk.files : 0);
    g->tree_news =
        !g->known || g->tree_used != used || g->names_used != names || g->tree_hides != hides;
    g->known = true;
    g->tree_used = used;
    g->names_used = names;
    g->tree_hides = hides;
    /* a file that got a name, or lost it, meanwhile may have been counted twice */
    g->over_walks = used > allowed(g) ? g->over_walks + 1 : 0;
}

static enum limit measure_trees(struct gauge *g, size_t entries)
{
    uint64_t now_ms = clock_mono_ms();
    bool too_much;

    if (!g->walking && !has_changed(g, &g->tree_pause_ms) && g->over_walks == 0 &&
        g->hid_before == g->tree_hides) {
        g->tree_due_ms = now_ms + g->tree_pause_ms;
        return LIMIT_NONE;
    }
    if (!g->walking) {
        g->walk_began_ms = now_ms;
        g->holding = g->counts_held && g->known; /* before the program there is nobody to look at */
        g->held_disk.thorough = g->tree_pause_ms == NEAR_MS; /* when room is short it matters */
    }
    g->walking = true;
    if (g->holding) {
        g->holding = !held_step(&g->held_disk, entries);
        return LIMIT_NONE;
    }
    if (meter_step(&g->meter, entries))
        end_walk(g, clock_mono_ms());
    too_much = g->known && g->meter.bytes > allowed(g); /* also in the middle of a walk */
    if (too_much && g->tree_used < g->meter.bytes) {
        g->tree_used = g->meter.bytes;
        g->tree_news = true;
    }
    return too_much || g->over_walks >= SURE_PASSES ? LIMIT_DISK : LIMIT_NONE;
}

/* ---- all of it ---- */

/* What came with the job's messages lies beside its workspace. */
static bool is_bare_attachments(const struct plan *plan, const char *path)
{
    const char *slash = strrchr(plan->directory, '/');
    size_t len = slash ? (size_t)(slash - plan->directory) : 0;

    return slash && strncmp(path, plan->directory, len) == 0 &&
           strcmp(path + len, PLAN_ATTACHMENTS) == 0;
}

/* At their own places: the rules say which may be changed. */
static void add_bare_trees(struct gauge *g, const struct plan *plan)
{
    for (size_t i = 0; i < plan->rule_count && g->meter.root_count < METER_ROOTS; i++) {
        const struct plan_rule *rule = &plan->rules[i];
        bool job = strcmp(rule->path, plan->directory) == 0;

        for (size_t k = 0; k < plan->env.len && !job; k++)
            job = strncmp(plan->env.items[k], "HOME=", 5) == 0 &&
                  strcmp(plan->env.items[k] + 5, rule->path) == 0;
        if ((job && (rule->rights & PLAN_MAY_CHANGE) != 0) || is_bare_attachments(plan, rule->path))
            (void)meter_add(&g->meter, rule->path); /* one that can't be opened isn't writable */
    }
}

static void add_trees(struct gauge *g, const struct plan *plan)
{
    if (plan->ground.rung == PLAN_RUNG_BARE) {
        add_bare_trees(g, plan);
        return;
    }
    for (size_t i = 0; i < plan->step_count && g->meter.root_count < METER_ROOTS; i++) {
        const struct plan_step *s = &plan->steps[i];

        if (s->type == PLAN_STEP_BIND &&
            (((s->flags & PLAN_WRITABLE) != 0 &&
              (strcmp(s->target, PLAN_WORKSPACE) == 0 || strcmp(s->target, PLAN_HOME) == 0)) ||
             strcmp(s->target, PLAN_ATTACHMENTS) == 0))
            (void)meter_add(&g->meter, s->target); /* one that can't be opened isn't writable */
    }
}

static bool is_meant(const char *pid, const void *ctx)
{
    return is_tasks(ctx, pid);
}

/* By which number /proc knows this process: a namespace of its own has others. */
static uint64_t own_number(void)
{
    char text[24];
    ssize_t n = readlink("/proc/self", text, sizeof text - 1);

    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? number(text) : (uint64_t)getpid();
}

static int open_proc(void)
{
    return open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Each has a place of its own in the list of processes. Where it can't be read, nothing counts. */
static void init_held(struct gauge *g)
{
    dev_t memory;
    int fd = g->meter.root_count > 0 ? open_proc() : -1;

    g->counts_held = fd >= 0;
    held_init(&g->held_disk, fd, is_meant, g);
    for (size_t i = 0; i < g->meter.root_count; i++)
        held_add(&g->held_disk, g->meter.devices[i]);
    fd = g->memory_bytes > 0 && held_find_memory(&memory) ? open_proc() : -1;
    g->counts_lent = fd >= 0;
    held_init(&g->held_memory, fd, is_meant, g);
    if (g->counts_lent)
        held_add(&g->held_memory, memory);
}

void gauge_init(struct gauge *g, const struct plan *plan, bool limited)
{
    meter_init(&g->meter);
    g->proc = -1;
    g->shares_proc = plan->ground.host_proc;
    g->self = own_number();
    if (!limited) {
        g->memory_bytes = plan->memory_bytes;
        g->cpu_time_ms = plan->cpu_time_ms;
        g->threads = plan->ground.rung == PLAN_RUNG_BARE && !plan->as_root ? plan->pids : 0;
    }
    if (g->memory_bytes > 0 || g->cpu_time_ms > 0 || g->threads > 0)
        g->proc = open_proc();
    g->ticks_per_s = sysconf(_SC_CLK_TCK);
    g->processes_due_ms = g->lent_due_ms = clock_mono_ms() + NEAR_MS;
    if (plan->tree_bytes > 0)
        add_trees(g, plan);
    init_held(g);
    if (g->meter.root_count == 0)
        return;
    g->tree_bytes = plan->tree_bytes;
    (void)measure_trees(g, ENTRIES_FIRST); /* nothing has been added yet */
}

int gauge_wait_ms(const struct gauge *g)
{
    uint64_t now_ms = clock_mono_ms(), due_ms = UINT64_MAX;

    if (g->walking || g->held_memory.walking)
        return 0;
    if (g->proc >= 0)
        due_ms = g->processes_due_ms;
    if (g->tree_bytes > 0 && g->tree_due_ms < due_ms)
        due_ms = g->tree_due_ms;
    if (g->counts_lent && g->lent_due_ms < due_ms)
        due_ms = g->lent_due_ms;
    if (due_ms == UINT64_MAX)
        return -1;
    if (due_ms <= now_ms)
        return 0;
    return due_ms - now_ms > 60000 ? 60000 : (int)(due_ms - now_ms);
}

enum limit gauge_step(struct gauge *g)
{
    uint64_t now_ms = clock_mono_ms();
    enum limit limit = LIMIT_NONE;

    if (g->counts_lent && (g->held_memory.walking || now_ms >= g->lent_due_ms))
        measure_lent(g, now_ms);
    if (g->proc >= 0 && now_ms >= g->processes_due_ms)
        limit = measure_processes(g, now_ms);
    if (limit == LIMIT_NONE && g->tree_bytes > 0 && (g->walking || now_ms >= g->tree_due_ms))
        limit = measure_trees(g, ENTRIES_A_STEP);
    return limit;
}
