#include "hub/skill.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "hub/artifact.h"
#include "hub/attachment.h"
#include "hub/call.h"
#include "hub/deposit.h"
#include "hub/depot.h"
#include "hub/skillzip.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mem.h"

struct look {
    struct depot_op op; /* must be first */
    struct call *call;
    skill_ready_fn ready;
    void *ctx;
    struct skillzip skill;
    struct err err;
};

static int run_look(struct depot_op *op, int dir)
{
    struct look *l = (struct look *)op;
    const char *id = l->call->deposited->id;
    AUTO_CLOSE int fd = openat(dir, id, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return err_set(&l->err, -errno, "open the archive: %s", strerror(errno));
    return skillzip_read(fd, &l->skill, &l->err);
}

static void on_looked(struct depot_op *op, int result)
{
    struct look *l = (struct look *)op;
    struct call *c = l->call;

    if (result >= 0) {
        c->skill = mem_new(struct skillzip);
        *c->skill = l->skill;
    } else {
        if (result != -EBADMSG)
            log_error("skill_unread", "id", c->deposited->id, "error", l->err.text);
        (void)call_refuse(c, result == -EBADMSG ? 400 : 500, "%s", l->err.text);
    }
    l->ready(c, l->ctx);
    free(l);
}

void skill_look(struct depot *depot, struct call *c, skill_ready_fn ready, void *ctx)
{
    struct look *l = mem_new(struct look);

    *l = (struct look){
        .op = { .run = run_look, .done = on_looked }, .call = c, .ready = ready, .ctx = ctx
    };
    depot_give_slow(depot, &l->op);
}

static bool has_ending(const char *name, const char *ending)
{
    size_t len = strlen(name), want = strlen(ending);

    return len > want && strcasecmp(name + len - want, ending) == 0;
}

int skill_create(struct call *c, struct model *m)
{
    const struct deposit_file *file = c->deposited;
    struct artifact_new what = { .kind = ARTIFACT_SKILL };
    int rc;

    assert(file && c->skill);
    if (!has_ending(file->name, ".zip") && !has_ending(file->name, ".skill"))
        return call_refuse(c, 400, "the file of a skill must be called NAME.zip or NAME.skill");
    what.title = c->skill->name;
    what.description = c->skill->description;
    what.attachment = file->id;
    what.size = file->size;
    rc = attachment_insert(m, file, 0);
    return rc < 0 ? rc : artifact_insert(c, m, &what);
}
