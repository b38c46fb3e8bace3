#include "upstream/listing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/err.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

enum {
    ID_MAX_BYTES = 128,
    VALUES_MAX = 2000000, /* in an answer: what they cost to hold stays below some 200 MB */
    PROBLEMS_MAX = 16,    /* and one that counts the rest */
    SHOWN_MAX = 64        /* of a foreign word in a problem */
};

/* Ids seen in this listing; key points into the listing's own strings. */
struct seen {
    const char *id;
    size_t job; /* index in listing->jobs */
    UT_hash_handle hh;
};

struct parser {
    struct listing *l;
    size_t job_cap;
    size_t problems_left_out;
    struct seen *jobs, *messages;
};

/* ---- problems ---- */

/* What was said already is not said again: it would take the place of something else. */
__attribute__((format(printf, 2, 3))) static void complain(struct parser *p, const char *fmt, ...)
{
    struct listing *l = p->l;
    struct listing_problem problem;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(problem.text, sizeof problem.text, fmt, ap); /* cut where too long */
    va_end(ap);
    for (size_t i = 0; i < l->problem_count; i++)
        if (str_eq(l->problems[i].text, problem.text))
            return;
    if (l->problem_count == PROBLEMS_MAX) {
        p->problems_left_out++;
        return;
    }
    if (!l->problems)
        l->problems = mem_calloc(PROBLEMS_MAX + 1, sizeof *l->problems);
    l->problems[l->problem_count++] = problem;
}

static void count_the_rest(struct parser *p)
{
    struct listing *l = p->l;

    if (p->problems_left_out > 0)
        (void)snprintf(l->problems[l->problem_count++].text, sizeof l->problems->text,
                       "%zu more problems in the same answer of the server", p->problems_left_out);
}

/* A foreign word fit for a log line. */
static const char *show(char buffer[SHOWN_MAX + 1], const char *word)
{
    size_t i;

    for (i = 0; i < SHOWN_MAX && word[i]; i++)
        buffer[i] = word[i] < ' ' || word[i] > '~' ? '?' : word[i];
    buffer[i] = '\0';
    return buffer;
}

/* ---- fields ---- */

/* Ids become path parts, directory names and keys: printable ASCII without space and slash. */
static bool is_id(const char *s)
{
    size_t len = s ? strnlen(s, ID_MAX_BYTES + 1) : 0;

    if (len == 0 || len > ID_MAX_BYTES || str_eq(s, ".") || str_eq(s, ".."))
        return false;
    for (size_t i = 0; i < len; i++)
        if (s[i] <= ' ' || s[i] > '~' || s[i] == '/')
            return false;
    return true;
}

/* An optional string member: 0 with NULL if it is absent or null; -EINVAL for another type. */
static int get_text(const struct json *node, const char *key, const char **ret_s)
{
    const struct json *member = json_get(node, key);

    if (member && !json_is_null(member) && !json_is_string(member))
        return -EINVAL;
    *ret_s = json_str(member);
    return 0;
}

/* Of the two places the message's own comes first; an empty text is none. */
static int get_either(const struct json *payload, const struct json *job, const char *key,
                      const char **ret_s)
{
    const char *own, *jobs;

    if (get_text(payload, key, &own) < 0 || get_text(job, key, &jobs) < 0)
        return -EINVAL;
    *ret_s = !str_is_empty(own) ? own : jobs;
    if (str_is_empty(*ret_s))
        *ret_s = NULL;
    return 0;
}

static int kind_from_type(const char *type, enum task_kind *ret_kind)
{
    if (str_eq(type, "start_conversation_v1"))
        *ret_kind = TASK_KIND_START;
    else if (str_eq(type, "user_message_v1"))
        *ret_kind = TASK_KIND_USER;
    else
        return -EINVAL;
    return 0;
}

/* A mode that we don't know may forbid what we would do: no default for it. */
static int mode_from_name(const char *name, enum task_mode *ret_mode)
{
    if (!name || str_eq(name, "execute"))
        *ret_mode = TASK_MODE_EXECUTE;
    else if (str_eq(name, "ask"))
        *ret_mode = TASK_MODE_ASK;
    else
        return -EINVAL;
    return 0;
}

/* ---- one message ---- */

struct fields {
    const char *ack_id, *id, *message, *system_prompt;
    const struct json *payload;
    enum task_kind kind;
    enum task_mode mode;
};

static int read_kind(struct parser *p, const char *job_id, const struct json *record,
                     struct fields *f)
{
    const char *type = json_get_str(record, "type");
    char shown[SHOWN_MAX + 1];

    f->ack_id = json_get_str(record, "id");
    if (!is_id(f->ack_id)) {
        complain(p, "job %s: a message without a usable id is left out", job_id);
        return -EINVAL;
    }
    if (type && kind_from_type(type, &f->kind) == 0)
        return 0;
    if (type)
        /* about the type, so that it is said once however many there are */
        complain(
            p,
            "messages of the unknown type '%s' are left unacknowledged: this nairid may be too "
            "old for the server",
            show(shown, type));
    else
        complain(p, "job %s: message %s has no type and is left out", job_id, f->ack_id);
    return -EINVAL;
}

static int read_payload(struct parser *p, const struct json *job, const char *job_id,
                        const struct json *record, struct fields *f)
{
    const char *mode, *wrong = NULL;

    f->payload = json_get(record, "payload");
    if (!json_is_object(f->payload))
        wrong = "payload is not an object";
    else if (get_text(f->payload, "processed_message_id", &f->id) < 0)
        wrong = "processed_message_id is not a string";
    else if (!str_is_empty(f->id) && !is_id(f->id))
        wrong = "processed_message_id is too long or holds a forbidden character";
    else if (get_text(f->payload, "message", &f->message) < 0)
        wrong = "message is not a string";
    else if (get_either(f->payload, job, "system_prompt", &f->system_prompt) < 0)
        wrong = "system_prompt is not a string";
    else if (get_either(f->payload, job, "mode", &mode) < 0 || mode_from_name(mode, &f->mode) < 0)
        wrong = "mode is neither \"execute\" nor \"ask\"";
    if (wrong) {
        complain(p, "job %s: message %s is left out: its %s", job_id, f->ack_id, wrong);
        return -EINVAL;
    }
    if (str_is_empty(f->id))
        f->id = f->ack_id;
    return 0;
}

static struct task *make_task(const struct listing_job *job, const struct fields *f)
{
    struct task *t = task_new();

    t->id = mem_strdup(f->id);
    t->ack_id = mem_strdup(f->ack_id);
    t->job_id = mem_strdup(job->id);
    t->kind = f->kind;
    t->mode = f->mode;
    t->prompt = mem_strdup(f->message ? f->message : "");
    t->system_prompt = mem_strdup(f->system_prompt);
    t->payload = json_print(f->payload);
    t->fence = job->fence;
    return t;
}

/* Whether id is new in table, which then holds it; otherwise *ret_known is the earlier one. */
static bool remember(struct seen **table, const char *id, size_t job, struct seen **ret_known)
{
    struct seen *s = NULL;

    HASH_FIND_STR(*table, id, s);
    if (s) {
        *ret_known = s;
        return false;
    }
    s = mem_new(struct seen);
    s->id = id;
    s->job = job;
    HASH_ADD_KEYPTR(hh, *table, s->id, strlen(s->id), s);
    return true;
}

static void forget(struct seen **table)
{
    struct seen *s, *next;

    HASH_ITER (hh, *table, s, next) {
        HASH_DEL(*table, s);
        free(s);
    }
}

/* job->messages has room for it. */
static void parse_message(struct parser *p, const struct json *job_node, size_t job_index,
                          const struct json *record)
{
    struct listing_job *job = &p->l->jobs[job_index];
    struct fields f = { 0 };
    struct seen *known;
    struct task *t;

    if (str_eq(json_get_str(record, "type"), "check_idle_jobs_v1")) {
        p->l->check_idle = true;
        return;
    }
    if (!json_is_object(record)) {
        complain(p, "job %s: a message that is not an object is left out", job->id);
        return;
    }
    if (read_kind(p, job->id, record, &f) < 0 || read_payload(p, job_node, job->id, record, &f) < 0)
        return;
    t = make_task(job, &f);
    if (!remember(&p->messages, t->id, job_index, &known)) {
        complain(p, "job %s: message %s is listed twice, the second one is left out", job->id,
                 t->id);
        task_free(t);
        return;
    }
    job->messages[job->message_count++] = t;
}

/* ---- one job ---- */

static struct listing_job *add_job(struct parser *p)
{
    struct listing *l = p->l;

    if (l->job_count == p->job_cap) {
        p->job_cap = p->job_cap ? p->job_cap * 2 : 8;
        l->jobs = mem_realloc(l->jobs, p->job_cap * sizeof *l->jobs);
    }
    l->jobs[l->job_count] = (struct listing_job){ 0 };
    return &l->jobs[l->job_count++];
}

/* What stands in the job's own record: NULL, or what is wrong with it. */
static const char *read_job(const struct json *node, struct listing_job *job)
{
    const struct json *messages = json_get(node, "messages");
    const char *text;

    if (json_get_u64(node, "fence", &job->fence) == -EINVAL)
        return "fence is not a whole number";
    if (json_get_bool(node, "cancel_requested", &job->cancel_requested) == -EINVAL)
        return "cancel_requested is not true or false";
    if (get_text(node, "mode", &text) < 0)
        return "mode is not a string";
    if (get_text(node, "system_prompt", &text) < 0)
        return "system_prompt is not a string";
    if (messages && !json_is_null(messages) && !json_is_array(messages))
        return "messages is not a list";
    return NULL;
}

/* The place of the job in the listing; a job that is listed twice is joined. */
static size_t place_job(struct parser *p, const char *id, const struct listing_job *read)
{
    struct listing_job *job;
    struct seen *known;

    /* the key must outlive the parse, and the node's string does */
    if (remember(&p->jobs, id, p->l->job_count, &known)) {
        job = add_job(p);
        *job = *read;
        job->id = mem_strdup(id);
        return p->l->job_count - 1;
    }
    job = &p->l->jobs[known->job];
    job->cancel_requested = job->cancel_requested || read->cancel_requested;
    if (read->fence > job->fence)
        job->fence = read->fence;
    return known->job;
}

static size_t power_of_two(size_t at_least)
{
    size_t n = 1;

    while (n < at_least)
        n *= 2;
    return n;
}

/* Room for count more. A job listed again and again must not be copied again and again. */
static void reserve(struct listing_job *job, size_t count)
{
    size_t cap = power_of_two(job->message_count + count);

    if (!job->messages || cap > power_of_two(job->message_count))
        job->messages = mem_realloc(job->messages, cap * sizeof(struct task *));
}

static void parse_job(struct parser *p, const struct json *node)
{
    const struct json *messages = json_get(node, "messages");
    const char *id = json_get_str(node, "id"), *wrong;
    struct listing_job read = { 0 };
    size_t count = json_is_array(messages) ? json_len(messages) : 0, index;

    if (!is_id(id)) {
        complain(p, "a job without a usable id is left out");
        return;
    }
    wrong = read_job(node, &read);
    if (wrong) {
        complain(p, "job %s is left out: its %s", id, wrong);
        return;
    }
    index = place_job(p, id, &read);
    if (count > 0)
        reserve(&p->l->jobs[index], count);
    for (const struct json *m = json_first(messages); m; m = json_next(m))
        parse_message(p, node, index, m);
}

/* ---- the whole ---- */

int listing_parse(const char *body, size_t len, struct listing *ret_listing, struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct listing l = { 0 };
    struct parser p = { .l = &l };
    const struct json *jobs;
    struct err why = { 0 };

    /* a NUL in one prompt, which is not for us to judge, must not hide all the others */
    if (json_parse_light(body, len, VALUES_MAX, &root, &why) < 0)
        return err_set(err, -EBADMSG, "%s", why.text);
    jobs = json_get(root, "jobs");
    /* null is how some languages write an empty list */
    if (!jobs || (!json_is_array(jobs) && !json_is_null(jobs)))
        return err_set(err, -EBADMSG, "there is no list \"jobs\" in it");
    (void)json_get_bool(root, "more", &l.more); /* false where it is absent or no bool */
    (void)json_get_bool(root, "check_idle_jobs", &l.check_idle);
    if (json_is_array(jobs))
        for (const struct json *j = json_first(jobs); j; j = json_next(j))
            parse_job(&p, j);
    count_the_rest(&p);
    forget(&p.jobs);
    forget(&p.messages);
    *ret_listing = l;
    return 0;
}

bool listing_knows_type(const char *type)
{
    enum task_kind kind;

    return type && kind_from_type(type, &kind) == 0;
}

struct task *listing_take(struct listing_job *job, size_t index)
{
    return TAKE_PTR(job->messages[index]);
}

void listing_done(struct listing *l)
{
    for (size_t i = 0; i < l->job_count; i++) {
        for (size_t k = 0; k < l->jobs[i].message_count; k++)
            task_free(l->jobs[i].messages[k]);
        free(l->jobs[i].messages);
        free(l->jobs[i].id);
    }
    free(l->jobs);
    free(l->problems);
    *l = (struct listing){ 0 };
}
