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
#include "util/cleanup.h"
#include "util/err.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gets_the_schema_once),
        cmocka_unit_test(a_newer_version_is_refused_and_left_as_it_is),
        cmocka_unit_test(another_programs_tables_are_refused),
        cmocka_unit_test(a_damaged_schema_is_an_error_and_no_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
