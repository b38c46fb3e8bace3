#include "store/instance.h"

#include <stdint.h>
#include <string.h>

#include "store/schema.h"
#include "util/clock.h"
#include "util/random.h"

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
