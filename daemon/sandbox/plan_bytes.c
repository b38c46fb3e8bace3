/* plan_encode() and plan_decode() of plan.h. Numbers in the machine's own order: both ends are one
 * binary. A string is its length, its bytes and a NUL. Where things come from isn't told. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/plan.h"
#include "sandbox/plan_bare.h"
#include "settings/allow.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

enum { STDOUT_FILE = 1, SURVEY = 2, UNPACK = 4 }; /* switches, in one number */

static const uint32_t magic = 0x4e504c36; /* "NPL6" */

static void put_u32(struct buf *b, uint32_t n)
{
    buf_append(b, &n, sizeof n);
}

static void put_u64(struct buf *b, uint64_t n)
{
    buf_append(b, &n, sizeof n);
}

static void put_str(struct buf *b, const char *s)
{
    size_t len = strlen(s);

    put_u32(b, (uint32_t)len);
    buf_append(b, s, len + 1);
}

static void put_strv(struct buf *b, const struct strv *v)
{
    put_u32(b, (uint32_t)v->len);
    for (size_t i = 0; i < v->len; i++)
        put_str(b, v->items[i]);
}

static void put_broker(struct buf *b, const struct broker *broker)
{
    put_str(b, broker->name);
    put_str(b, broker->upstream);
    put_str(b, broker->header);
    put_str(b, broker->scheme);
    put_str(b, broker->ca_file ? broker->ca_file : "");
    put_u32(b, broker->grants);
    put_strv(b, &broker->methods);
    put_strv(b, &broker->paths);
    put_u32(b, broker->requests);
    put_u32(b, broker->timeout_ms);
    put_u64(b, broker->request_limit_bytes);
    put_u64(b, broker->response_limit_bytes);
}

void plan_encode(const struct plan *p, struct buf *b)
{
    put_u32(b, magic);
    put_u32(b, p->ground.rung);
    put_u32(b, p->ground.host_proc);
    put_u32(b, p->ground.without_landlock);
    put_str(b, p->directory);
    put_str(b, p->scratch);
    put_str(b, p->brief);
    put_strv(b, &p->links);
    put_u32(b, p->calls);
    put_u32(b, p->network);
    put_u32(b, (p->stdout_file ? STDOUT_FILE : 0) | (p->survey ? SURVEY : 0) |
                   (p->unpack ? UNPACK : 0));
    put_u32(b, p->as_root);
    put_u32(b, p->outer_uid);
    put_u64(b, p->memory_bytes);
    put_u64(b, p->disk_bytes);
    put_u32(b, p->pids);
    put_u32(b, p->files);
    put_u32(b, p->cpu_percent);
    put_u64(b, p->tree_bytes);
    put_u64(b, p->cpu_time_ms);
    put_u32(b, (uint32_t)p->step_count);
    for (size_t i = 0; i < p->step_count; i++) {
        put_u32(b, p->steps[i].type);
        put_u32(b, p->steps[i].flags);
        put_u32(b, p->steps[i].mode);
        put_u64(b, p->steps[i].size_bytes);
        put_str(b, p->steps[i].target);
        put_str(b, p->steps[i].text);
    }
    put_u32(b, (uint32_t)p->rule_count);
    for (size_t i = 0; i < p->rule_count; i++) {
        put_u32(b, p->rules[i].rights);
        put_str(b, p->rules[i].path);
    }
    put_u32(b, (uint32_t)p->host_count);
    for (size_t i = 0; i < p->host_count; i++)
        put_str(b, p->hosts[i].text);
    put_u32(b, (uint32_t)p->brokers.len);
    for (size_t i = 0; i < p->brokers.len; i++)
        put_broker(b, &p->brokers.items[i]);
    put_str(b, p->ca_file);
    put_str(b, p->proxy);
    put_u32(b, p->egress_uid);
    put_strv(b, &p->programs);
    put_strv(b, &p->argv);
    put_strv(b, &p->env);
}

/* What is left to read. Once something didn't fit, bad stays set and all that follows is 0. */
struct reader {
    char *at;
    size_t left;
    bool bad;
    char nothing[1]; /* in place of a text that isn't there */
};

static void get(struct reader *r, void *bytes, size_t size)
{
    if (r->bad || r->left < size) {
        r->bad = true;
        memset(bytes, 0, size);
        return;
    }
    memcpy(bytes, r->at, size);
    r->at += size;
    r->left -= size;
}

static uint64_t get_u64(struct reader *r)
{
    uint64_t n;

    get(r, &n, sizeof n);
    return n;
}

/* A number up to most. */
static uint32_t get_u32(struct reader *r, uint32_t most)
{
    uint32_t n;

    get(r, &n, sizeof n);
    if (n > most) {
        r->bad = true;
        return 0;
    }
    return n;
}

/* In place, never NULL. */
static char *get_text(struct reader *r, size_t most)
{
    size_t len = get_u32(r, (uint32_t)most);
    char *s = r->at;

    if (r->bad || r->left <= len || s[len] != '\0' || memchr(s, '\0', len)) {
        r->bad = true;
        return r->nothing;
    }
    r->at += len + 1;
    r->left -= len + 1;
    return s;
}

/* A copy, never NULL. */
static char *get_str(struct reader *r, size_t most)
{
    return mem_strdup(get_text(r, most));
}

static void get_strv(struct reader *r, struct strv *v)
{
    uint32_t count = get_u32(r, PLAN_STRINGS_MAX);

    for (uint32_t i = 0; i < count && !r->bad; i++)
        strv_add(v, get_text(r, PLAN_STRING_MAX));
}

/* The same, but its texts stay where they are. */
static void get_texts(struct reader *r, struct strv *v)
{
    uint32_t count = get_u32(r, PLAN_STRINGS_MAX);

    v->items = mem_calloc(count + 1, sizeof v->items[0]);
    for (uint32_t i = 0; i < count && !r->bad; i++)
        v->items[v->len++] = get_text(r, PLAN_STRING_MAX);
}

static bool step_is_sound(const struct plan_step *s)
{
    if (!plan_path_is_plain(s->target))
        return false;
    if (s->type == PLAN_STEP_BIND)
        return plan_path_is_plain(s->text);
    if (s->type == PLAN_STEP_LINK)
        return s->text[0] != '\0' && strlen(s->text) < PLAN_PATH_MAX;
    return true;
}

static void get_steps(struct reader *r, struct plan *p)
{
    uint32_t count = get_u32(r, PLAN_STEPS_MAX);

    p->steps = mem_calloc(count + 1, sizeof p->steps[0]);
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        struct plan_step *s = &p->steps[p->step_count++];

        s->type = get_u32(r, PLAN_STEP_TYPE_COUNT - 1);
        s->flags = get_u32(r, PLAN_FLAGS_ALL);
        s->mode = get_u32(r, 01777);
        s->size_bytes = get_u64(r);
        s->target = get_text(r, PLAN_PATH_MAX);
        s->text = get_text(r, PLAN_STRING_MAX);
        if (!step_is_sound(s))
            r->bad = true;
    }
}

static void get_rules(struct reader *r, struct plan *p)
{
    uint32_t count = get_u32(r, PLAN_RULES_MAX);

    p->rules = mem_calloc(count + 1, sizeof p->rules[0]);
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        struct plan_rule *rule = &p->rules[p->rule_count++];

        rule->rights = get_u32(r, PLAN_RIGHTS_ALL);
        rule->path = get_text(r, PLAN_PATH_MAX);
        if (strcmp(rule->path, "/") != 0 && !plan_path_is_plain(rule->path))
            r->bad = true;
    }
}

static void get_broker(struct reader *r, struct plan *p)
{
    CLEANUP(broker_done) struct broker b = { 0 };

    b.name = get_str(r, BROKER_NAME_MAX);
    b.upstream = get_str(r, BROKER_TEXT_MAX);
    b.header = get_str(r, BROKER_NAME_MAX);
    b.scheme = get_str(r, BROKER_NAME_MAX);
    b.ca_file = get_str(r, PLAN_PATH_MAX);
    b.grants = get_u32(r, ALLOW_PRIVATE | ALLOW_LOOPBACK);
    get_strv(r, &b.methods);
    get_strv(r, &b.paths);
    b.requests = get_u32(r, UINT32_MAX);
    b.timeout_ms = get_u32(r, UINT32_MAX);
    b.request_limit_bytes = get_u64(r);
    b.response_limit_bytes = get_u64(r);
    if (!*b.ca_file) {
        free(b.ca_file);
        b.ca_file = NULL;
    }
    if (r->bad || broker_check(&b, NULL) < 0 || broker_find(&p->brokers, b.name) ||
        p->network == PLAN_NETWORK_HOST)
        r->bad = true;
    else
        broker_add(&p->brokers, &b);
}

/* Only with a network that needs them, and as a root's plan a user to serve them. */
static void get_hosts(struct reader *r, struct plan *p)
{
    uint32_t count = get_u32(r, PLAN_HOSTS_MAX);
    bool wanted = p->network == PLAN_NETWORK_ALLOWLIST;
    struct allow allow;

    p->hosts = mem_calloc(count + 1, sizeof p->hosts[0]);
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        struct plan_host *host = &p->hosts[p->host_count++];

        host->text = get_text(r, ALLOW_TEXT_MAX);
        if (!wanted || allow_parse(host->text, &allow, NULL) < 0)
            r->bad = true;
    }
    count = get_u32(r, BROKER_MAX);
    for (uint32_t i = 0; i < count && !r->bad; i++)
        get_broker(r, p);
    wanted = plan_has_egress(p);
    p->ca_file = get_text(r, PLAN_PATH_MAX);
    if (*p->ca_file && p->brokers.len == 0)
        r->bad = true;
    p->proxy = get_text(r, PLAN_PATH_MAX);
    p->egress_uid = get_u32(r, UINT32_MAX);
    if ((!wanted && (*p->proxy || p->egress_uid != 0)) ||
        (wanted && p->as_root != (p->egress_uid != 0)) || p->egress_uid == (uid_t)-1 ||
        (p->egress_uid != 0 && p->egress_uid == p->outer_uid))
        r->bad = true;
}

/* One that looks at hostile files is given nothing else, and one that reads an archive no files. */
static bool ours_is_sound(const struct plan *p)
{
    if (!plan_is_ours(p))
        return true;
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];

        if (s->type != PLAN_STEP_DIR &&
            (p->unpack || s->type != PLAN_STEP_BIND || s->flags != PLAN_NOEXEC))
            return false;
    }
    for (size_t i = 0; i < p->rule_count; i++)
        if (p->unpack || (p->rules[i].rights & ~(uint32_t)(PLAN_MAY_LIST | PLAN_MAY_READ)))
            return false;
    return p->network == PLAN_NETWORK_NONE && !p->stdout_file && p->env.len == 0 &&
           p->argv.len == (p->survey ? 3 : 1) && p->calls == 0 && p->survey != p->unpack;
}

static void get_ground(struct reader *r, struct plan *p)
{
    p->ground.rung = get_u32(r, PLAN_RUNG_COUNT - 1);
    p->ground.host_proc = get_u32(r, 1);
    p->ground.without_landlock = get_u32(r, 1);
    p->directory = get_text(r, PLAN_PATH_MAX);
    p->scratch = get_text(r, PLAN_PATH_MAX);
    p->brief = get_text(r, PLAN_BRIEF_MAX);
    get_texts(r, &p->links);
    if (!plan_path_is_plain(p->directory))
        r->bad = true;
}

/* Pairs: a plain path, and a plain path or nothing. */
static bool links_are_sound(const struct plan *p)
{
    for (size_t i = 0; i < p->links.len; i++)
        if (!plan_path_is_plain(p->links.items[i]) && (i % 2 == 0 || *p->links.items[i]))
            return false;
    return p->links.len % 2 == 0 && (p->links.len == 0 || !plan_is_ours(p));
}

/* What holds a task must be there in some way, and what the rung can't do isn't asked for. */
static bool ground_is_sound(const struct plan *p)
{
    bool bare = p->ground.rung == PLAN_RUNG_BARE;

    if (p->ground.rung == PLAN_RUNG_ROOT && !p->as_root)
        return false;
    if (!bare)
        return !*p->scratch && !*p->brief && p->links.len == 0;
    return p->step_count == 0 && links_are_sound(p) && !p->ground.without_landlock &&
           p->ground.host_proc && (!p->as_root || plan_bare_owns(p->outer_uid)) &&
           !plan_has_egress(p) && (plan_is_ours(p) ? !*p->scratch : plan_path_is_plain(p->scratch));
}

static void get_plan(struct reader *r, struct plan *p)
{
    uint32_t switches;

    if (get_u32(r, UINT32_MAX) != magic)
        r->bad = true;
    get_ground(r, p);
    p->calls = get_u32(r, PROFILE_CALLS_ALL);
    p->network = get_u32(r, PLAN_NETWORK_COUNT - 1);
    switches = get_u32(r, STDOUT_FILE | SURVEY | UNPACK);
    p->stdout_file = switches & STDOUT_FILE;
    p->survey = switches & SURVEY;
    p->unpack = switches & UNPACK;
    p->as_root = get_u32(r, 1);
    p->outer_uid = get_u32(r, UINT32_MAX);
    p->memory_bytes = get_u64(r);
    p->disk_bytes = get_u64(r);
    p->pids = get_u32(r, UINT32_MAX);
    p->files = get_u32(r, UINT32_MAX);
    p->cpu_percent = get_u32(r, UINT32_MAX);
    p->tree_bytes = get_u64(r);
    p->cpu_time_ms = get_u64(r);
    get_steps(r, p);
    get_rules(r, p);
    get_hosts(r, p);
    get_texts(r, &p->programs);
    get_texts(r, &p->argv);
    get_texts(r, &p->env);
    if (r->left > 0 || p->programs.len == 0 || p->argv.len == 0 || !ours_is_sound(p) ||
        !ground_is_sound(p))
        r->bad = true;
}

int plan_take(char *bytes, size_t len, struct plan **ret_plan, struct err *err)
{
    struct reader r = { .at = bytes, .left = len, .bad = len > PLAN_BYTES_MAX };
    CLEANUP_PTR(plan_free) struct plan *p = mem_new(struct plan);

    p->bytes = bytes;
    p->bytes_len = len;
    get_plan(&r, p);
    if (r.bad)
        return err_set(err, -EINVAL, "the plan of %zu bytes is damaged", len);
    if (p->outer_uid == 0 || p->outer_uid == (uid_t)-1)
        return err_set(err, -EINVAL, "the plan would run a task as user id %u, which no task may",
                       (unsigned)p->outer_uid);
    *ret_plan = TAKE_PTR(p);
    return 0;
}

int plan_decode(const void *bytes, size_t len, struct plan **ret_plan, struct err *err)
{
    return plan_take(mem_dup(bytes, len), len, ret_plan, err);
}
