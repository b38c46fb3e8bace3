/* How a conversation of Codex's is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <string.h>

#include "runner/codex_thread.h"
#include "runner/runner.h"
#include "util/cleanup.h"

#define ID "01a201a1-c5a9-7c72-b3d5-880f8b705e54"

static_assert(CODEX_THREAD_TEXT_MAX == RUNNER_SESSION_MAX + 1, "fits what a session may be");

static void assert_round(const struct codex_thread *t, const char *want)
{
    char text[CODEX_THREAD_TEXT_MAX];
    struct codex_thread back;

    assert_string_equal(codex_thread_print(t, text), want);
    assert_true(codex_thread_parse(text, &back));
    assert_string_equal(back.id, t->id);
    assert_true(runner_is_session(text));
}

static void it_comes_back_as_it_went(void **state)
{
    const uint64_t most = UINT64_C(36) * 36 * 36 * 36 * 36 * 36 - 1;
    struct codex_thread t = { .id = ID }, back;

    (void)state;
    assert_round(&t, ID);
    t.counted.output_tokens = 37;
    assert_round(&t, ID "_0_11_0_0");
    t.counted = (struct usage){ most, most, most, most, 0, "" };
    assert_round(&t, ID "_zzzzzz_zzzzzz_zzzzzz_zzzzzz");
    assert_true(codex_thread_parse(ID "_zzzzzz_zzzzzz_zzzzzz_zzzzzz", &back));
    assert_int_equal(back.counted.cache_write_tokens, most);
    t.counted.input_tokens++;
    assert_round(&t, ID);
}

static void anything_else_is_none(void **state)
{
    static const char *const others[] = {
        "",
        "--last",
        ID "_",
        ID "_1",
        ID "_1_2_3",
        ID "_1_2_3_4_5",
        ID "_1_2__4",
        ID "_1_2_3_A",
        ID " ",
        ID "_0000000_1_1_1",
        ID "-_1_2_3_4",
        "01A201A1-c5a9-7c72-b3d5-880f8b705e54",
        "01a201a1c5a9-7c72-b3d5-880f8b705e54a",
        "01a201a1-c5a9-7c72-b3d5-880f8b705e5g",
        "01a201a1-c5a9-7c72-b3d5-880f8b705e5",
    };
    struct codex_thread t;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (codex_thread_parse(others[i], &t))
            fail_msg("'%s' passes for a thread", others[i]);
    assert_false(codex_thread_parse(NULL, &t));
    assert_false(codex_thread_is_id(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_went),
        cmocka_unit_test(anything_else_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
