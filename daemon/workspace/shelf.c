#include "workspace/shelf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

enum { MANIFEST_MAX = 1 << 20 };

static const char *const part_names[SHELF_PART_COUNT] = {
    [SHELF_RULES] = "rules",          [SHELF_SKILLS] = "skills",
    [SHELF_MCP] = "mcp.json",         [SHELF_MCP_OPENCODE] = "opencode.json",
    [SHELF_MCP_CODEX] = "codex.toml",
};

struct shelf_set {
    char name[SHELF_NAME_BYTES];
    char *paths[SHELF_PART_COUNT]; /* NULL: it has none */
    size_t users;
    struct shelf_set *next;
};

struct shelf {
    char *path;
    struct shelf_set *sets;    /* that are held or in force */
    struct shelf_set *current; /* among them, or NULL */
};

const char *shelf_part_name(enum shelf_part part)
{
    return part_names[part];
}

bool shelf_is_set_name(const char *name)
{
    size_t len = strlen(name);

    return len < SHELF_NAME_BYTES && str_starts_with(name, SHELF_PREFIX) &&
           strspn(name + strlen(SHELF_PREFIX), "0123456789abcdef") == len - strlen(SHELF_PREFIX);
}

/* ---- sets ---- */

static void set_free(struct shelf_set *set)
{
    for (size_t i = 0; i < SHELF_PART_COUNT; i++)
        free(set->paths[i]);
    free(set);
}

/* What is neither held nor in force is swept away later. */
static void forget_unused(struct shelf *s)
{
    struct shelf_set **at = &s->sets;

    while (*at) {
        struct shelf_set *set = *at;

        if (set->users > 0 || set == s->current) {
            at = &set->next;
            continue;
        }
        *at = set->next;
        set_free(set);
    }
}

void shelf_switch(struct shelf *s, const char *name, const bool has[SHELF_PART_COUNT])
{
    struct shelf_set *set = mem_new(struct shelf_set);

    (void)snprintf(set->name, sizeof set->name, "%s", name); /* shelf_is_set_name() */
    for (size_t i = 0; i < SHELF_PART_COUNT; i++)
        set->paths[i] = has[i] ? mem_printf("%s/%s/%s", s->path, name, part_names[i]) : NULL;
    set->next = s->sets;
    s->sets = s->current = set;
    forget_unused(s);
}

void shelf_used(const struct shelf *s, struct strv *names)
{
    for (const struct shelf_set *set = s->sets; set; set = set->next)
        strv_add(names, set->name);
}

struct shelf_set *shelf_hold(struct shelf *s)
{
    if (s->current)
        s->current->users++;
    return s->current;
}

void shelf_release(struct shelf *s, struct shelf_set *set)
{
    if (!set)
        return;
    set->users--;
    forget_unused(s);
}

const char *shelf_path(const struct shelf_set *set, enum shelf_part part)
{
    return set->paths[part];
}

/* ---- the one in force at the start ---- */

/* The name in the file "current". -ENOENT: there is none that could be a set's. */
static int read_current(const char *path, char name[SHELF_NAME_BYTES], struct err *err)
{
    AUTO_FREE char *file = mem_printf("%s/" SHELF_CURRENT, path);
    CLEANUP(buf_done) struct buf b = { 0 };
    int r = fd_read_file(file, SHELF_NAME_BYTES - 1, &b, err);

    if (r < 0)
        return r;
    if (!shelf_is_set_name(buf_str(&b)))
        return err_set(err, -ENOENT, "'%s' names no set", file);
    (void)snprintf(name, SHELF_NAME_BYTES, "%s", buf_str(&b));
    return 0;
}

/* Whether it is there: 1, 0, or a negative errno where that can't be told. */
static int look_for(const char *path, const char *set, const char *part, struct err *err)
{
    AUTO_FREE char *file = mem_printf("%s/%s/%s", path, set, part);
    struct stat st;

    if (lstat(file, &st) == 0)
        return 1;
    return errno == ENOENT ? 0 : err_set(err, -errno, "look at '%s': %s", file, strerror(errno));
}

static int find_current(struct shelf *s, struct err *err)
{
    bool has[SHELF_PART_COUNT];
    char name[SHELF_NAME_BYTES];
    int r = read_current(s->path, name, err);

    if (r < 0)
        return r;
    r = look_for(s->path, name, SHELF_MANIFEST, err);
    for (size_t i = 0; i < SHELF_PART_COUNT && r > 0; i++) {
        int found = look_for(s->path, name, part_names[i], err);

        has[i] = found > 0;
        r = found < 0 ? found : r;
    }
    if (r > 0)
        shelf_switch(s, name, has);
    return r < 0 ? r : 0;
}

struct shelf *shelf_new(const char *state_dir, struct err *ret_doubt)
{
    struct shelf *s = mem_new(struct shelf);

    s->path = mem_printf("%s/" SHELF_FOLDER, state_dir);
    if (find_current(s, ret_doubt) >= 0 || ret_doubt->code == -ENOENT)
        *ret_doubt = (struct err){ 0 };
    return s;
}

void shelf_free(struct shelf *s)
{
    if (!s)
        return;
    while (s->sets) {
        struct shelf_set *next = s->sets->next;

        set_free(s->sets);
        s->sets = next;
    }
    free(s->path);
    free(s);
}

int shelf_manifest(const char *state_dir, char **ret_text, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/" SHELF_FOLDER, state_dir), *file = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    char name[SHELF_NAME_BYTES];
    int r = read_current(path, name, err);

    if (r < 0)
        return r;
    file = mem_printf("%s/%s/" SHELF_MANIFEST, path, name);
    r = fd_read_file(file, MANIFEST_MAX, &b, err);
    if (r == 0)
        *ret_text = buf_steal(&b);
    return r;
}
