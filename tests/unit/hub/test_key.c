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
    char text[KEY_TEXT_MAX], id[ULID_ID_MAX], found[ULID_ID_MAX];
    CLEANUP(buf_done) struct buf list = { 0 };
    struct key_claim claim, other;
    int64_t agent = -1;

    key_make(KEY_AGENT, text);
    assert_int_equal(key_parse(text, strlen(text), &claim), 0);
    assert_int_equal(key_find(f->model.db, &claim, &agent, found), 0);
    assert_int_equal(key_store(f->model.db, &claim, "tester", f->agent, 5, id), 0);
    assert_int_equal(key_find(f->model.db, &claim, &agent, found), 1);
    assert_int_equal(agent, f->agent);
    assert_string_equal(found, id);

    other = claim;
    other.kind = KEY_ORG;
    assert_int_equal(key_find(f->model.db, &other, &agent, found), 0);
    other = claim;
    other.hash[KEY_HASH_BYTES - 1] ^= 1; /* the same lookup number, another key */
    assert_int_equal(key_find(f->model.db, &other, &agent, found), 0);

    assert_int_equal(key_revoke(f->model.db, "key_other", 6), 0);
    assert_int_equal(key_revoke(f->model.db, id, 6), 1);
    assert_int_equal(key_revoke(f->model.db, id, 7), 0);
    assert_int_equal(key_find(f->model.db, &claim, &agent, found), 0);
    assert_int_equal(key_list(f->model.db, &list), 0);
    assert_non_null(strstr(buf_str(&list), id));
    assert_non_null(strstr(buf_str(&list), "revoked 1970-01-01T00:00:00.006Z"));
    assert_null(strstr(buf_str(&list), text));
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
        cmocka_unit_test(the_header_is_read_and_the_wrong_kind_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
