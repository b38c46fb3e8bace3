#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/attached.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

static void a_message_has_its_own_files_and_those_of_earlier_ones(void **state)
{
    static const char payload[] =
        "{\"message\":\"x\",\"attachments\":[{\"attachment_id\":\"att_1\"},"
        "{\"attachment_id\":\"att_2\"}],\"previous_messages\":[{\"message\":\"a\"},"
        "{\"message\":\"b\",\"attachments\":[{\"attachment_id\":\"att_3\"}]},"
        "{\"message\":\"c\",\"attachments\":null}]}";
    struct attached a = { 0 };

    (void)state;
    assert_int_equal(attached_parse(payload, false, &a, NULL), 0);
    assert_int_equal(a.len, 2);
    assert_string_equal(a.items[1].id, "att_2");
    assert_int_equal(a.items[1].earlier, 0);
    attached_done(&a);
    assert_int_equal(attached_parse(payload, true, &a, NULL), 0);
    assert_int_equal(a.len, 3);
    assert_string_equal(a.items[0].id, "att_1");
    assert_string_equal(a.items[2].id, "att_3");
    assert_int_equal(a.items[2].earlier, 2);
    assert_null(a.items[2].path);
    attached_done(&a);
}

static void a_message_may_have_none(void **state)
{
    static const char *const payloads[] = {
        NULL,
        "",
        "{}",
        "not json",
        "[]",
        "{\"attachments\":[]}",
        "{\"attachments\":null}",
        "{\"previous_messages\":{\"attachments\":7}}",
        "{\"previous_messages\":[7,null]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(payloads); i++) {
        struct attached a = { 0 };

        assert_int_equal(attached_parse(payloads[i], true, &a, NULL), 0);
        assert_int_equal(a.len, 0);
    }
}

static void an_id_that_cannot_be_asked_for_is_refused(void **state)
{
    static const char *const lists[] = {
        "7",
        "{}",
        "\"att_1\"",
        "[7]",
        "[null]",
        "[\"att_1\"]",
        "[{}]",
        "[{\"attachment_id\":7}]",
        "[{\"attachment_id\":\"\"}]",
        "[{\"attachment_id\":\".\"}]",
        "[{\"attachment_id\":\"..\"}]",
        "[{\"attachment_id\":\"a/b\"}]",
        "[{\"attachment_id\":\"a b\"}]",
        "[{\"attachment_id\":\"a\\nb\"}]",
        "[{\"attachment_id\":\"\xc3\xa9\"}]",
        "[{\"attachment_id\":\"ok\"},{}]",
    };
    struct attached a = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (int earlier = 0; earlier < 2; earlier++) {
            struct buf b = { 0 };
            struct err err = { 0 };

            buf_printf(&b, "%s{\"attachments\":%s}%s", earlier ? "{\"previous_messages\":[" : "",
                       lists[i], earlier ? "]}" : "");
            assert_int_equal(attached_parse(buf_str(&b), true, &a, &err), -EINVAL);
            assert_true(err.text[0]);
            assert_null(a.items);
            buf_done(&b);
        }
}

static void more_than_can_be_is_refused(void **state)
{
    for (int count = ATTACHED_MAX; count <= ATTACHED_MAX + 1; count++) {
        struct attached a = { 0 };
        struct buf b = { 0 };
        struct err err = { 0 };

        (void)state;
        buf_append_str(&b, "{\"attachments\":[");
        for (int i = 0; i < count; i++)
            buf_printf(&b, "%s{\"attachment_id\":\"att_%d\"}", i ? "," : "", i);
        buf_append_str(&b, "]}");
        assert_int_equal(attached_parse(buf_str(&b), true, &a, &err),
                         count > ATTACHED_MAX ? -E2BIG : 0);
        assert_int_equal(a.len, count > ATTACHED_MAX ? 0 : count);
        attached_done(&a);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_has_its_own_files_and_those_of_earlier_ones),
        cmocka_unit_test(a_message_may_have_none),
        cmocka_unit_test(an_id_that_cannot_be_asked_for_is_refused),
        cmocka_unit_test(more_than_can_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
