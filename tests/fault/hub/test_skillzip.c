#include "hub/skillzip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "settings/document.h"
#include "util/err.h"

/* In the place of the real one. */
int __wrap_document_parse(const char *name, const char *text, size_t len,
                          struct document_node **ret_root, struct err *err);

int __wrap_document_parse(const char *name, const char *text, size_t len,
                          struct document_node **ret_root, struct err *err)
{
    (void)text;
    (void)len;
    (void)ret_root;
    return err_set(err, mock_type(int), "%s: no", name);
}

static int read_page(int answer, struct err *err)
{
    static const char page[] = "---\nname: n\ndescription: d\n---\n";
    struct skillzip skill = { 0 };

    will_return(__wrap_document_parse, answer);
    return skillzip_read_page(page, strlen(page), &skill, err);
}

static void a_lack_of_memory_is_not_told_as_a_bad_page(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(read_page(-ENOMEM, &err), -ENOMEM);
    assert_string_equal(err.text, "SKILL.md: no");
    assert_int_equal(read_page(-EINVAL, &err), -EBADMSG);
    assert_int_equal(read_page(-EMSGSIZE, &err), -EBADMSG);
    assert_string_equal(err.text, "SKILL.md: no");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lack_of_memory_is_not_told_as_a_bad_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
