#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "task/progress.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

static void each_type_has_the_name_that_the_server_knows(void **state)
{
    static const char *const names[] = {
        [PROGRESS_TEXT] = "text",
        [PROGRESS_TOOL_USE] = "tool_use",
        [PROGRESS_HEARTBEAT] = "tool_heartbeat",
        [PROGRESS_SUBAGENT] = "subagent",
        [PROGRESS_STEP] = "step",
    };

    (void)state;
    assert_int_equal(ARRAY_SIZE(names), PROGRESS_TYPE_COUNT);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_string_equal(progress_type_name((enum progress_type)i), names[i]);
}

static void a_copy_has_every_member_and_outlives_the_original(void **state)
{
    char texts[8][16];
    struct progress p = { .type = PROGRESS_TOOL_USE,
                          .text = texts[0],
                          .tool = texts[1],
                          .input = texts[2],
                          .status = texts[3],
                          .output = texts[4],
                          .summary = texts[5],
                          .tool_use_id = texts[6],
                          .parent_tool_use_id = texts[7] };
    AUTO_FREE struct progress *copy = NULL;

    (void)state;
    for (int i = 0; i < 8; i++) {
        strcpy(texts[i], "text number 0");
        texts[i][12] = (char)('0' + i);
    }
    copy = progress_copy(&p);
    memset(texts, 'x', sizeof texts);
    assert_int_equal(copy->type, PROGRESS_TOOL_USE);
    assert_string_equal(copy->text, "text number 0");
    assert_string_equal(copy->tool, "text number 1");
    assert_string_equal(copy->input, "text number 2");
    assert_string_equal(copy->status, "text number 3");
    assert_string_equal(copy->output, "text number 4");
    assert_string_equal(copy->summary, "text number 5");
    assert_string_equal(copy->tool_use_id, "text number 6");
    assert_string_equal(copy->parent_tool_use_id, "text number 7");
}

static void what_is_absent_stays_absent_and_empty_stays_empty(void **state)
{
    const struct progress p = { .type = PROGRESS_STEP, .summary = "", .status = "running" };
    AUTO_FREE struct progress *copy = progress_copy(&p);

    (void)state;
    assert_string_equal(copy->summary, "");
    assert_string_equal(copy->status, "running");
    assert_true(!copy->text && !copy->tool && !copy->input && !copy->output && !copy->tool_use_id &&
                !copy->parent_tool_use_id);
}

static void a_copy_is_bounded_and_cut_between_characters(void **state)
{
    AUTO_FREE char *huge = mem_alloc(100002);
    struct progress p = { .text = huge,
                          .tool = huge,
                          .input = huge,
                          .status = huge,
                          .output = huge,
                          .summary = huge,
                          .tool_use_id = huge,
                          .parent_tool_use_id = huge };
    AUTO_FREE struct progress *copy = NULL;

    (void)state;
    huge[0] = 'x'; /* odd from here on */
    for (size_t i = 1; i < 100000; i += 2)
        memcpy(huge + i, "\xc3\xa9", 2);
    copy = progress_copy(&p);
    assert_int_equal(strlen(copy->text), PROGRESS_TEXT_MAX - 1);
    assert_int_equal(strlen(copy->input), PROGRESS_TEXT_MAX - 1);
    assert_int_equal(strlen(copy->output), PROGRESS_TEXT_MAX - 1);
    assert_int_equal(strlen(copy->summary), PROGRESS_TEXT_MAX - 1);
    assert_int_equal(strlen(copy->tool), PROGRESS_NAME_MAX - 1);
    assert_int_equal(strlen(copy->status), PROGRESS_NAME_MAX - 1);
    assert_int_equal(strlen(copy->tool_use_id), PROGRESS_NAME_MAX - 1);
    assert_int_equal(strlen(copy->parent_tool_use_id), PROGRESS_NAME_MAX - 1);
    assert_true(str_ends_with(copy->text, "\xc3\xa9"));
}

static void a_person_reads_tool_and_input_or_what_was_said(void **state)
{
    static const struct {
        struct progress p;
        const char *line;
    } cases[] = {
        { { .tool = "Bash", .input = "make test", .output = "ok", .status = "completed" },
          "Bash: make test" },
        { { .tool = "Bash" }, "Bash" },
        { { .tool = "Bash", .summary = "Running for 5s..." }, "Bash: Running for 5s..." },
        { { .text = "Let me see." }, "Let me see." },
        { { .summary = "Subagent started: x", .status = "running" }, "Subagent started: x" },
        { { .tool = "", .input = "", .text = "said" }, "said" },
        { { .output = "lines" }, "" },
        { { .type = PROGRESS_TEXT }, "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf line = { 0 };

        progress_describe(&cases[i].p, &line);
        assert_string_equal(buf_str(&line), cases[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_has_the_name_that_the_server_knows),
        cmocka_unit_test(a_copy_has_every_member_and_outlives_the_original),
        cmocka_unit_test(what_is_absent_stays_absent_and_empty_stays_empty),
        cmocka_unit_test(a_copy_is_bounded_and_cut_between_characters),
        cmocka_unit_test(a_person_reads_tool_and_input_or_what_was_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
