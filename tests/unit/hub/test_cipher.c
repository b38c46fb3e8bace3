#include "hub/cipher.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "hub/db.h"
#include "support/hubmodel.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

static void what_was_sealed_is_opened_by_its_label_alone(void **state)
{
    struct hubmodel *f = *state;
    CLEANUP(buf_done) struct buf sealed = { 0 }, again = { 0 }, open = { 0 };

    cipher_seal(f->cipher, "cev_1", "value", 5, &sealed);
    cipher_seal(f->cipher, "cev_1", "value", 5, &again);
    assert_int_equal(sealed.len, 5 + CIPHER_OVERHEAD);
    assert_memory_not_equal(sealed.data, again.data, sealed.len);
    assert_null(memmem(sealed.data, sealed.len, "value", 5));
    assert_int_equal(cipher_unseal(f->cipher, "cev_1", sealed.data, sealed.len, &open), 0);
    assert_string_equal(buf_str(&open), "value");
    assert_int_equal(cipher_unseal(f->cipher, "cev_2", sealed.data, sealed.len, &open), -EBADMSG);
    assert_int_equal(cipher_unseal(f->cipher, "", sealed.data, sealed.len, &open), -EBADMSG);
    assert_int_equal(open.len, 5);
}

static void each_changed_bit_and_each_missing_byte_is_noticed(void **state)
{
    struct hubmodel *f = *state;
    CLEANUP(buf_done) struct buf sealed = { 0 }, open = { 0 };

    cipher_seal(f->cipher, "x", "ab", 2, &sealed);
    for (size_t i = 0; i < sealed.len * 8; i++) {
        sealed.data[i / 8] = (char)(sealed.data[i / 8] ^ (1 << i % 8));
        assert_int_equal(cipher_unseal(f->cipher, "x", sealed.data, sealed.len, &open), -EBADMSG);
        sealed.data[i / 8] = (char)(sealed.data[i / 8] ^ (1 << i % 8));
    }
    for (size_t len = 0; len < sealed.len; len++)
        assert_int_equal(cipher_unseal(f->cipher, "x", sealed.data, len, &open), -EBADMSG);
    assert_int_equal(open.len, 0);
}

static void nothing_is_sealed_and_opened_too(void **state)
{
    struct hubmodel *f = *state;
    CLEANUP(buf_done) struct buf sealed = { 0 }, open = { 0 };

    cipher_seal(f->cipher, "x", "", 0, &sealed);
    assert_int_equal(cipher_unseal(f->cipher, "x", sealed.data, sealed.len, &open), 0);
    assert_string_equal(buf_str(&open), "");
}

/* Prepares with the file of that name in the model's directory; what it was answered with. */
static int prepare(struct hubmodel *f, const char *name, struct err *err)
{
    CLEANUP_PTR(cipher_free) struct cipher *c = NULL;
    AUTO_FREE char *path = mem_printf("%s/%s", f->dir, name);

    return cipher_prepare(f->model.db, path, &c, err);
}

static void seal_one(struct hubmodel *f)
{
    assert_int_equal(db_run(f->model.db,
                            "INSERT INTO env_vars (id, agent, key, sealed, created_ms, updated_ms)"
                            " VALUES ('cev_1', ?1, 'A', x'00', 0, 0)",
                            "i", f->agent),
                     1);
}

static void the_key_is_made_once_and_for_its_owner_alone(void **state)
{
    struct hubmodel *f = *state;
    AUTO_FREE char *path = mem_printf("%s/other", f->dir);
    CLEANUP(buf_done) struct buf first = { 0 }, second = { 0 };
    struct stat st;

    assert_int_equal(prepare(f, "other", NULL), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fd_read_file(path, 100, &first, NULL), 0);
    assert_int_equal(first.len, 65);
    assert_int_equal(prepare(f, "other", NULL), 0);
    assert_int_equal(fd_read_file(path, 100, &second, NULL), 0);
    assert_string_equal(buf_str(&first), buf_str(&second));
}

static void once_something_is_sealed_no_other_key_and_no_new_one_will_do(void **state)
{
    struct hubmodel *f = *state;
    AUTO_FREE char *path = mem_printf("%s/nonsense", f->dir);
    struct err err = { 0 };

    assert_int_equal(prepare(f, "right", &err), 0);
    seal_one(f);
    assert_int_equal(prepare(f, "missing", &err), -ENOKEY);
    assert_non_null(strstr(err.text, "--secrets-key"));
    assert_int_equal(prepare(f, "hub.db.key", &err), -EKEYREJECTED);
    assert_non_null(strstr(err.text, "not the key"));
    assert_int_equal(fd_write_file(path, "zz", 2, 0600, NULL), 0);
    assert_int_equal(prepare(f, "nonsense", &err), -EKEYREJECTED);
    assert_non_null(strstr(err.text, "hex digits"));
    assert_int_equal(prepare(f, "right", &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hubmodel_setup, hubmodel_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_sealed_is_opened_by_its_label_alone),
        TEST(each_changed_bit_and_each_missing_byte_is_noticed),
        TEST(nothing_is_sealed_and_opened_too),
        TEST(the_key_is_made_once_and_for_its_owner_alone),
        TEST(once_something_is_sealed_no_other_key_and_no_new_one_will_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
