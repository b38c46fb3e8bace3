#include "hub/migration.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/db.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

static struct db *open_at(const char *dir)
{
    AUTO_FREE char *path = mem_printf("%s/x.db", dir);
    struct db *db = NULL;

    assert_int_equal(db_open(path, true, &db, NULL), 0);
    return db;
}

static void an_empty_file_gets_the_schema_once(void **state)
{
    char *dir = tempdir_new();
    struct db *db = open_at(dir);
    int64_t n = -1;

    (void)state;
    assert_int_equal(migration_run(db, "x", NULL), 0);
    assert_int_equal(db_get(db, &n, "PRAGMA user_version", ""), 1);
    assert_int_equal(n, MIGRATION_VERSION);
    assert_int_equal(migration_run(db, "x", NULL), 0);
    assert_int_equal(db_get(db, &n, "SELECT count(*) FROM messages", ""), 1);
    assert_int_equal(n, 0);
    db_close(db);
    tempdir_free(dir);
}

static void a_newer_version_is_refused_and_left_as_it_is(void **state)
{
    char *dir = tempdir_new();
    struct db *db = open_at(dir);
    struct err err;
    int64_t n;

    (void)state;
    assert_int_equal(db_script(db, "PRAGMA user_version = 1000"), 0);
    assert_int_equal(migration_run(db, "name.db", &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "name.db"));
    assert_non_null(strstr(err.text, "1000"));
    assert_false(db_in_transaction(db));
    assert_int_equal(db_get(db, &n, "PRAGMA user_version", ""), 1);
    assert_int_equal(n, 1000);
    db_close(db);
    tempdir_free(dir);
}

static void another_programs_tables_are_refused(void **state)
{
    char *dir = tempdir_new();
    struct db *db = open_at(dir);
    struct err err;

    (void)state;
    assert_int_equal(db_script(db, "CREATE TABLE theirs (x)"), 0);
    assert_int_equal(migration_run(db, "name.db", &err), -EBADMSG);
    assert_non_null(strstr(err.text, "another program"));
    db_close(db);
    tempdir_free(dir);
}

static void a_damaged_schema_is_an_error_and_no_crash(void **state)
{
    char *dir = tempdir_new();
    struct db *db = open_at(dir);
    struct err err;

    (void)state;
    assert_int_equal(db_script(db, "PRAGMA user_version = -3"), 0);
    assert_int_equal(migration_run(db, "x", &err), -EBADMSG);
    db_close(db);
    tempdir_free(dir);
}

/* A conversation with progress, an answer and two waiting prompts, three keys of which one is
 * revoked. */
static void load_version(struct db *db, int version)
{
    AUTO_FREE char *path =
        mem_printf("%s/tests/fixtures/hub/version-%d.sql", NAIRID_SOURCE, version);
    CLEANUP(buf_done) struct buf sql = { 0 };

    assert_int_equal(fd_read_file(path, 1 << 20, &sql, NULL), 0);
    assert_int_equal(db_script(db, buf_str(&sql)), 0);
}

static int64_t number(struct db *db, const char *sql)
{
    int64_t n = -1;

    assert_int_equal(db_get(db, &n, sql, ""), 1);
    return n;
}

static void a_database_of_version_1_keeps_what_it_has(void **state)
{
    char *dir = tempdir_new();
    struct db *db = open_at(dir);

    (void)state;
    load_version(db, 1);
    assert_int_equal(migration_run(db, "x", NULL), 0);
    assert_int_equal(number(db, "PRAGMA user_version"), MIGRATION_VERSION);
    assert_int_equal(number(db, "PRAGMA application_id"), 1852339554);
    assert_int_equal(number(db, "SELECT count(*) FROM messages"), 5);
    assert_int_equal(number(db, "SELECT count(*) FROM messages WHERE status = 'queued'"), 2);
    assert_int_equal(number(db, "SELECT count(*) FROM messages WHERE subject IS NULL"), 5);
    assert_int_equal(number(db, "SELECT count(*) FROM jobs"), 2);
    assert_int_equal(number(db, "SELECT count(*) FROM keys WHERE expires_ms IS NULL"), 3);
    assert_int_equal(number(db, "SELECT count(*) FROM keys WHERE revoked_ms IS NOT NULL"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM attachments"), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM agents WHERE deleted_ms IS NULL"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM agents WHERE deploy_wanted = 0"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM env_vars"), 0);
    assert_int_equal(db_get(db, &(int64_t){ 0 }, "PRAGMA foreign_key_check", ""), 0);
    db_close(db);
    tempdir_free(dir);
}

static char *schema_text(struct db *db)
{
    struct query *q =
        db_query(db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name", "");
    struct buf b = { 0 };

    while (query_next(q) > 0)
        buf_printf(&b, "%s\n", query_text(q, 0));
    query_end(q);
    return buf_steal(&b);
}

static void ends_with_the_tables_of_a_new_one(int version)
{
    char *old_dir = tempdir_new(), *new_dir = tempdir_new();
    struct db *old = open_at(old_dir), *new = open_at(new_dir);
    AUTO_FREE char *old_text = NULL, *new_text = NULL;

    load_version(old, version);
    assert_int_equal(migration_run(old, "x", NULL), 0);
    assert_int_equal(migration_run(new, "x", NULL), 0);
    old_text = schema_text(old);
    new_text = schema_text(new);
    assert_string_equal(old_text, new_text);
    db_close(old);
    db_close(new);
    tempdir_free(old_dir);
    tempdir_free(new_dir);
}

static void an_old_database_ends_with_the_tables_of_a_new_one(void **state)
{
    (void)state;
    for (int version = 1; version < MIGRATION_VERSION; version++)
        ends_with_the_tables_of_a_new_one(version);
}

/* The same, and a file that came with the first prompt. */
static void a_database_of_version_2_keeps_what_it_has(void **state)
{
    char *dir = tempdir_new();
    struct db *db = open_at(dir);

    (void)state;
    load_version(db, 2);
    assert_int_equal(number(db, "PRAGMA user_version"), 2);
    assert_int_equal(migration_run(db, "x", NULL), 0);
    assert_int_equal(number(db, "PRAGMA user_version"), MIGRATION_VERSION);
    assert_int_equal(number(db, "SELECT count(*) FROM messages"), 5);
    assert_int_equal(number(db, "SELECT count(*) FROM attachments WHERE size = 12"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM message_attachments"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM agents WHERE deleted_ms IS NULL"), 1);
    assert_int_equal(number(db, "SELECT deploy_wanted FROM agents"), 0);
    assert_int_equal(db_get(db, &(int64_t){ 0 }, "PRAGMA foreign_key_check", ""), 0);
    db_close(db);
    tempdir_free(dir);
}

static void a_database_of_version_3_keeps_what_it_has(void **state)
{
    char *dir = tempdir_new();
    struct db *db = open_at(dir);

    (void)state;
    load_version(db, 3);
    assert_int_equal(number(db, "PRAGMA user_version"), 3);
    assert_int_equal(migration_run(db, "x", NULL), 0);
    assert_int_equal(number(db, "PRAGMA user_version"), MIGRATION_VERSION);
    assert_int_equal(number(db, "SELECT count(*) FROM messages"), 5);
    assert_int_equal(number(db, "SELECT sum(size) FROM attachments"), 12);
    assert_int_equal(number(db, "SELECT count(*) FROM env_vars WHERE key = 'STAGE'"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM artifacts WHERE content = 'Short.'"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM vault_secrets"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM resources"), 1);
    db_close(db);
    tempdir_free(dir);
}

static void a_step_that_fails_leaves_the_old_version_whole(void **state)
{
    char *dir = tempdir_new();
    struct db *db = open_at(dir);
    struct err err;

    (void)state;
    load_version(db, 1);
    assert_int_equal(db_script(db, "CREATE TABLE attachments (x)"), 0); /* in its way */
    assert_true(migration_run(db, "name.db", &err) < 0);
    assert_non_null(strstr(err.text, "name.db"));
    assert_int_equal(number(db, "PRAGMA user_version"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM messages"), 5);
    assert_int_equal(db_script(db, "DROP TABLE attachments"), 0);
    assert_int_equal(migration_run(db, "x", NULL), 0);
    db_close(db);
    tempdir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gets_the_schema_once),
        cmocka_unit_test(a_newer_version_is_refused_and_left_as_it_is),
        cmocka_unit_test(another_programs_tables_are_refused),
        cmocka_unit_test(a_damaged_schema_is_an_error_and_no_crash),
        cmocka_unit_test(a_database_of_version_1_keeps_what_it_has),
        cmocka_unit_test(a_database_of_version_2_keeps_what_it_has),
        cmocka_unit_test(a_database_of_version_3_keeps_what_it_has),
        cmocka_unit_test(an_old_database_ends_with_the_tables_of_a_new_one),
        cmocka_unit_test(a_step_that_fails_leaves_the_old_version_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
