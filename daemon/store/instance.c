#include "store/instance.h"

#include <stdint.h>
#include <string.h>

#include "store/schema.h"
#include "util/clock.h"
#include "util/random.h"
#include "util/str.h"

int instance_make(sqlite3 *db, const char *path, char ret_id[ULID_ID_MAX], struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO meta (name, value) VALUES ('instance_id', ?1),"
        " ('created', ?2)";
    int64_t now_ms = clock_wall_ms();
    uint8_t entropy[10];
    sqlite3_stmt *stmt = NULL;
    char when[32];
    int r = 0;

    random_bytes(entropy, sizeof entropy);
    (void)ulid_make(ret_id, "ccaid", now_ms, entropy); /* returns its first argument */
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_text(stmt, 1, ret_id, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_text(stmt, 2, clock_rfc3339(when, now_ms), -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_DONE)
        r = schema_fail(db, path, "store the instance id", err);
    (void)sqlite3_finalize(stmt); /* its failure is in r already */
    return r;
}

int instance_read(sqlite3 *db, const char *path, char ret_id[ULID_ID_MAX], struct err *err)
{
    static const char sql[] = "SELECT value FROM meta WHERE name = 'instance_id'";
    sqlite3_stmt *stmt = NULL;
    int rc, r = 0;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return schema_fail_prepare(db, path, err);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(stmt, 0);

        if (id && ulid_has_prefix(id, "ccaid"))
            memcpy(ret_id, id, strlen(id) + 1);
        else
            r = schema_damaged(path, "its instance id is malformed", err);
    } else if (rc != SQLITE_DONE) {
        r = schema_fail(db, path, "read the instance id", err);
    }
    (void)sqlite3_finalize(stmt); /* its failure is in r already */
    return r;
}

/* Whether the journal is bound to that machine, or, *ret_is_bound false, to none. */
static int read_machine(sqlite3 *db, const char *path, const char *mark, bool *ret_is_bound,
                        bool *ret_is_this, struct err *err)
{
    static const char sql[] = "SELECT value FROM meta WHERE name = 'machine'";
    sqlite3_stmt *stmt = NULL;
    int rc, r = 0;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return schema_fail_prepare(db, path, err);
    rc = sqlite3_step(stmt);
    *ret_is_bound = rc == SQLITE_ROW;
    *ret_is_this = rc == SQLITE_ROW && str_eq((const char *)sqlite3_column_text(stmt, 0), mark);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        r = schema_fail(db, path, "read the machine's mark", err);
    (void)sqlite3_finalize(stmt); /* its failure is in r already */
    return r;
}

static int write_machine(sqlite3 *db, const char *path, const char *mark, struct err *err)
{
    static const char sql[] = "INSERT OR REPLACE INTO meta (name, value) VALUES ('machine', ?1)";
    sqlite3_stmt *stmt = NULL;
    int r = 0;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_text(stmt, 1, mark, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_DONE)
        r = schema_fail(db, path, "store the machine's mark", err);
    (void)sqlite3_finalize(stmt); /* its failure is in r already */
    return r;
}

int instance_bind(sqlite3 *db, const char *path, const char *machine, char id[ULID_ID_MAX],
                  bool *ret_moved, struct err *err)
{
    char mark[ULID_ID_MAX];
    bool is_bound = false, is_this = false; /* gcc sees less */
    int r;

    (void)ulid_derive(mark, "host", "nairid's journal", machine); /* returns its first argument */
    r = read_machine(db, path, mark, &is_bound, &is_this, err);
    /* The id first: a crash in between only makes another one. */
    if (r == 0 && is_bound && !is_this)
        r = instance_make(db, path, id, err);
    if (r == 0 && !is_this)
        r = write_machine(db, path, mark, err);
    *ret_moved = r == 0 && is_bound && !is_this;
    return r;
}
