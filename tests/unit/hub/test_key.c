#include "hub/key.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/access.h"
#include "hub/db.h"
#include "support/hubmodel.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/ulid.h"

static void a_made_key_has_its_kinds_form_and_is_never_the_same(void **state)
{
    char a[KEY_TEXT_MAX], b[KEY_TEXT_MAX];
    struct key_claim claim;

    (void)state;
    for (int k = 0; k < KEY_KIND_COUNT; k++) {
        const char *prefix = key_prefix((enum key_kind)k);

        key_make((enum key_kind)k, a);
        key_make((enum key_kind)k, b);
        assert_string_not_equal(a, b);
        assert_memory_equal(a, prefix, strlen(prefix));
        assert_int_equal(strlen(a), strlen(prefix) + 43);
        assert_int_equal(key_parse(a, strlen(a), &claim), 0);
        assert_int_equal(claim.kind, k);
    }
}

static void what_is_no_key_is_refused_by_its_form(void **state)
{
    static const char *const texts[] = {
        "",
        "nr_",
        "nairid_",
        "nr_short",
        "xx_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "nr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "nr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "nr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ",
        "nr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+",
        "NR_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    struct key_claim claim;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(key_parse(texts[i], strlen(texts[i]), &claim), -EINVAL);
}

static void a_key_is_found_until_it_is_revoked(void **state)
{
    struct hubmodel *f = *state;
    char text[KEY_TEXT_MAX], id[ULID_ID_MAX];
    CLEANUP(buf_done) struct buf list = { 0 };
    struct key_claim claim, other;
    struct key_found found;

    key_make(KEY_AGENT, text);
    assert_int_equal(key_parse(text, strlen(text), &claim), 0);
    assert_int_equal(key_find(f->model.db, &claim, &found), 0);
    assert_int_equal(key_store(f->model.db, &claim, "tester", f->agent, 5, id), 0);
    assert_int_equal(key_find(f->model.db, &claim, &found), 1);
    assert_int_equal(found.agent, f->agent);
    assert_string_equal(found.id, id);
    assert_int_equal(found.expires_ms, 0);

    other = claim;
    other.kind = KEY_ORG;
    assert_int_equal(key_find(f->model.db, &other, &found), 0);
    other = claim;
    other.hash[KEY_HASH_BYTES - 1] ^= 1; /* the same lookup number, another key */
    assert_int_equal(key_find(f->model.db, &other, &found), 0);

    assert_int_equal(key_revoke(f->model.db, "key_other", 6), 0);
    assert_int_equal(key_revoke(f->model.db, id, 6), 1);
    assert_int_equal(key_revoke(f->model.db, id, 7), 0);
    assert_int_equal(key_find(f->model.db, &claim, &found), 0);
    assert_int_equal(key_list(f->model.db, 8, &list), 0);
    assert_non_null(strstr(buf_str(&list), id));
    assert_non_null(strstr(buf_str(&list), "revoked 1970-01-01T00:00:00.006Z"));
    assert_null(strstr(buf_str(&list), text));
}

static void make_claim(enum key_kind kind, struct key_claim *ret_claim)
{
    char text[KEY_TEXT_MAX];

    key_make(kind, text);
    assert_int_equal(key_parse(text, strlen(text), ret_claim), 0);
}

static void a_rotated_key_works_beside_the_new_one_until_its_end(void **state)
{
    struct hubmodel *f = *state;
    CLEANUP(buf_done) struct buf list = { 0 };
    struct key_claim old, new, third;
    struct key_found found;
    char id[ULID_ID_MAX], new_id[ULID_ID_MAX], third_id[ULID_ID_MAX];
    enum key_kind kind;

    make_claim(KEY_AGENT, &old);
    make_claim(KEY_AGENT, &new);
    make_claim(KEY_AGENT, &third);
    assert_int_equal(key_store(f->model.db, &old, "tester", f->agent, 5, id), 0);
    assert_int_equal(key_kind_of(f->model.db, id, 6, &kind), 1);
    assert_int_equal(kind, KEY_AGENT);
    assert_int_equal(key_rotate(f->model.db, id, &new, 1000, 10, new_id), 1);
    assert_int_equal(key_find(f->model.db, &new, &found), 1);
    assert_string_equal(found.id, new_id);
    assert_int_equal(found.agent, f->agent);
    assert_int_equal(found.expires_ms, 0);
    assert_int_equal(key_find(f->model.db, &old, &found), 1);
    assert_string_equal(found.id, id);
    assert_int_equal(found.expires_ms, 1000);

    assert_int_equal(key_rotate(f->model.db, id, &third, 5000, 20, third_id), 1);
    assert_int_equal(key_find(f->model.db, &old, &found), 1);
    assert_int_equal(found.expires_ms, 1000); /* a longer overlap gives it no new life */

    assert_int_equal(key_list(f->model.db, 999, &list), 0);
    assert_non_null(strstr(buf_str(&list), "valid until 1970-01-01T00:00:01.000Z"));
    buf_clear(&list);
    assert_int_equal(key_list(f->model.db, 1000, &list), 0);
    assert_non_null(strstr(buf_str(&list), "expired 1970-01-01T00:00:01.000Z"));
}

static void what_has_ended_is_not_rotated(void **state)
{
    struct hubmodel *f = *state;
    struct key_claim old, new, other;
    char id[ULID_ID_MAX], new_id[ULID_ID_MAX];
    enum key_kind kind;

    make_claim(KEY_ORG, &old);
    make_claim(KEY_ORG, &new);
    make_claim(KEY_AGENT, &other);
    assert_int_equal(key_store(f->model.db, &old, "x", 0, 5, id), 0);
    assert_int_equal(key_rotate(f->model.db, "key_other", &new, 100, 10, new_id), 0);
    assert_int_equal(key_rotate(f->model.db, id, &other, 100, 10, new_id), 0); /* of another kind */
    assert_int_equal(key_rotate(f->model.db, id, &new, 10, 10, new_id), 1);
    assert_int_equal(key_kind_of(f->model.db, id, 10, &kind), 0);
    assert_int_equal(key_rotate(f->model.db, id, &other, 100, 10, new_id), 0);
    assert_int_equal(key_revoke(f->model.db, id, 20), 1); /* it may yet be revoked */
    assert_int_equal(key_kind_of(f->model.db, id, 5, &kind), 0);
}

static void the_header_is_read_and_the_wrong_kind_named(void **state)
{
    char org[KEY_TEXT_MAX], agent[KEY_TEXT_MAX], header[2 * KEY_TEXT_MAX];
    struct key_claim claim, expected;
    const char *why = NULL;

    (void)state;
    key_make(KEY_ORG, org);
    key_make(KEY_AGENT, agent);
    assert_int_equal(key_parse(org, strlen(org), &expected), 0);
    snprintf(header, sizeof header, "bEARER  %s", org);
    assert_int_equal(access_parse(header, KEY_ORG, &claim, &why), 1);
    assert_memory_equal(claim.hash, expected.hash, KEY_HASH_BYTES);
    assert_int_equal(access_parse(header, KEY_AGENT, &claim, &why), 0);
    assert_non_null(strstr(why, "--agent SLUG"));
    snprintf(header, sizeof header, "Bearer %s", agent);
    assert_int_equal(access_parse(header, KEY_ORG, &claim, &why), 0);
    assert_non_null(strstr(why, "--org NAME"));
    assert_int_equal(access_parse("Bearer x_y", KEY_ORG, &claim, &why), 0);
    assert_non_null(strstr(why, "would begin with nr_"));
    assert_int_equal(access_parse("Bearer nr_y", KEY_ORG, &claim, &why), 0);
    assert_non_null(strstr(why, "(nr_...) isn't whole"));
    assert_int_equal(access_parse("Bearer nairid_y", KEY_AGENT, &claim, &why), 0);
    assert_non_null(strstr(why, "(nairid_...) isn't whole"));
    assert_int_equal(access_parse(NULL, KEY_ORG, &claim, &why), 0);
    assert_int_equal(access_parse("", KEY_ORG, &claim, &why), 0);
    assert_int_equal(access_parse("Bearer", KEY_ORG, &claim, &why), 0);
    assert_int_equal(access_parse(org, KEY_ORG, &claim, &why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_key_has_its_kinds_form_and_is_never_the_same),
        cmocka_unit_test(what_is_no_key_is_refused_by_its_form),
        cmocka_unit_test_setup_teardown(a_key_is_found_until_it_is_revoked, hubmodel_setup,
                                        hubmodel_teardown),
        cmocka_unit_test_setup_teardown(a_rotated_key_works_beside_the_new_one_until_its_end,
                                        hubmodel_setup, hubmodel_teardown),
        cmocka_unit_test_setup_teardown(what_has_ended_is_not_rotated, hubmodel_setup,
                                        hubmodel_teardown),
        cmocka_unit_test(the_header_is_read_and_the_wrong_kind_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
