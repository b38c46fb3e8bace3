#include "hub/keycmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hub/agent.h"
#include "hub/db.h"
#include "hub/home.h"
#include "hub/key.h"
#include "settings/values.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/ulid.h"
#include "util/utf8.h"

#define OVERLAP_MS     (UINT64_C(24) * 3600 * 1000)
#define OVERLAP_MAX_MS (UINT64_C(365) * 24 * 3600 * 1000)

static int failed(struct db *db, int rc, const char *path, struct err *err)
{
    return err_set(err, rc, "write the database '%s': %s", path, db_error(db));
}

static bool name_is_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > KEY_NAME_MAX || !utf8_is_valid(name, len))
        return false;
    for (const char *s = name; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static int check_names(const char *org, const char *agent, struct err *err)
{
    if (org && !name_is_valid(org))
        return err_set(err, -EINVAL,
                       "--org wants a name of 1 to %d bytes without control characters",
                       KEY_NAME_MAX);
    if (agent && !agent_slug_is_valid(agent))
        return err_set(err, -EINVAL,
                       "'%s' is no agent slug: want 1 to %d letters, digits and . _ - / : @ + ~, "
                       "no slash at an end, and not the beginning 'cci_'",
                       agent, AGENT_SLUG_MAX);
    return 0;
}

static int store(struct db *db, const struct key_claim *claim, const char *org, const char *agent)
{
    int64_t wall_ms = clock_wall_ms(), seq = 0;
    char id[ULID_ID_MAX];
    int rc = 0;

    if (agent) {
        rc = agent_find(db, agent, &seq);
        if (rc == 0)
            rc = agent_make(db, agent, wall_ms, &seq);
    }
    return rc < 0 ? rc : key_store(db, claim, org ? org : agent, seq, wall_ms, id);
}

static int commit(struct db *db, const struct key_claim *claim, const char *org, const char *agent)
{
    int rc = db_script(db, "BEGIN IMMEDIATE");

    if (rc >= 0)
        rc = store(db, claim, org, agent);
    return rc < 0 ? rc : db_script(db, "COMMIT"); /* closing the connection rolls back */
}

static int print_key(const char *text, struct err *err)
{
    if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
        return err_set(err, -EIO, "write the key to standard output: %s", strerror(errno));
    return 0;
}

int keycmd_create(const char *path, const char *org, const char *agent, struct err *err)
{
    CLEANUP_PTR(db_close) struct db *db = NULL;
    char text[KEY_TEXT_MAX];
    struct key_claim claim;
    int rc = check_names(org, agent, err);

    if (rc >= 0)
        rc = home_open(path, &db, err);
    if (rc < 0)
        return rc;
    key_make(org ? KEY_ORG : KEY_AGENT, text);
    rc = key_parse(text, strlen(text), &claim);
    if (rc >= 0)
        rc = commit(db, &claim, org, agent);
    if (rc < 0)
        rc = failed(db, rc, path, err);
    else
        rc = print_key(text, err);
    secret_wipe(text, sizeof text);
    return rc;
}

/* Only create makes a database: a mistyped path must not look like a hub without keys. */
static int open_existing(const char *path, struct db **ret_db, struct err *err)
{
    if (access(path, F_OK) < 0)
        return err_set(err, -errno,
                       "the database '%s': %s; name the hub's own with --db, or make a first key "
                       "with 'nairi-hub key create'",
                       path, strerror(errno));
    return home_open(path, ret_db, err);
}

int keycmd_list(const char *path, struct err *err)
{
    CLEANUP_PTR(db_close) struct db *db = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    int rc = open_existing(path, &db, err);

    if (rc < 0)
        return rc;
    rc = key_list(db, clock_wall_ms(), &b);
    if (rc < 0)
        return err_set(err, rc, "read the database '%s': %s", path, db_error(db));
    if (printf("%s", buf_str(&b)) < 0 || fflush(stdout) != 0)
        return err_set(err, -EIO, "write to standard output: %s", strerror(errno));
    return 0;
}

static int unknown_id(struct err *err)
{
    /* a wrong argument, as nothing is wrong with any file */
    return err_set(err, -EINVAL,
                   "no valid key has that id: 'nairi-hub key list' shows their ids, which begin "
                   "with key_");
}

/* 1 and the new key's text, 0 if there is no such valid key, or a negative errno. */
static int rotate(struct db *db, const char *id, uint64_t overlap_ms, char text[KEY_TEXT_MAX])
{
    int64_t wall_ms = clock_wall_ms();
    char new_id[ULID_ID_MAX];
    struct key_claim claim;
    enum key_kind kind;
    int rc = db_script(db, "BEGIN IMMEDIATE");

    if (rc >= 0)
        rc = key_kind_of(db, id, wall_ms, &kind);
    if (rc <= 0)
        return rc; /* closing the connection rolls back, here and below */
    key_make(kind, text);
    rc = key_parse(text, strlen(text), &claim);
    if (rc >= 0)
        rc = key_rotate(db, id, &claim, wall_ms + (int64_t)overlap_ms, wall_ms, new_id);
    if (rc <= 0)
        return rc;
    rc = db_script(db, "COMMIT");
    return rc < 0 ? rc : 1;
}

int keycmd_rotate(const char *path, const char *id, const char *overlap, struct err *err)
{
    CLEANUP_PTR(db_close) struct db *db = NULL;
    char text[KEY_TEXT_MAX] = "";
    uint64_t overlap_ms = OVERLAP_MS;
    int rc;

    if (overlap && (values_duration(overlap, &overlap_ms) < 0 || overlap_ms > OVERLAP_MAX_MS))
        return err_set(
            err, -EINVAL,
            "--overlap wants a duration with its unit up to 365d, such as 24h, 90m or 0, "
            "not '%s'",
            overlap);
    rc = open_existing(path, &db, err);
    if (rc < 0)
        return rc;
    rc = rotate(db, id, overlap_ms, text);
    if (rc < 0)
        rc = failed(db, rc, path, err);
    else
        rc = rc == 0 ? unknown_id(err) : print_key(text, err);
    secret_wipe(text, sizeof text);
    return rc;
}

int keycmd_revoke(const char *path, const char *id, struct err *err)
{
    CLEANUP_PTR(db_close) struct db *db = NULL;
    int rc = open_existing(path, &db, err);

    if (rc < 0)
        return rc;
    rc = key_revoke(db, id, clock_wall_ms());
    if (rc < 0)
        return failed(db, rc, path, err);
    if (rc == 0)
        return unknown_id(err);
    return 0;
}
