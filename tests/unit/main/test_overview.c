#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <locale.h>
#include <string.h>
#include <cmocka.h>

#include "main/overview.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"

static void overview(struct buf *b, const char *text, uint64_t now_ms, size_t columns)
{
    CLEANUP_PTR(json_free) struct json *status = NULL;

    buf_clear(b);
    assert_int_equal(json_parse(text, strlen(text), &status, NULL), 0);
    overview_print(b, status, now_ms, columns);
}

static void a_busy_daemon_is_told_in_some_lines(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    overview(&b,
             "{\"ok\":true,\"pid\":42,\"spawner_pid\":43,\"version\":\"0.1.0\","
             "\"uptime_ms\":3723456,\"agent_id\":\"smith\",\"draining\":false,"
             "\"connection\":{\"state\":\"connected\",\"url\":\"https://api.example\","
             "\"last_ok_ms_ago\":2999},"
             "\"queue\":{\"waiting\":3,\"running\":1,\"slots\":4,\"outbox\":2},"
             "\"jobs\":[{\"id\":\"job_A\",\"message\":\"msg_1\",\"state\":\"running\","
             "\"attempt\":2,\"started_ms\":4000,\"progress\":\"reads\\n a file\"},"
             "{\"id\":\"job_B\",\"message\":\"msg_2\",\"state\":\"received\",\"attempt\":0}]}",
             64000, 80);
    assert_string_equal(buf_str(&b), "nairid 0.1.0, process 42, up 1h2m, agent smith\n"
                                     "connected to https://api.example, last answer 2s ago\n"
                                     "1 of 4 running, 3 waiting, 2 to deliver\n"
                                     "job_A running for 1m, attempt 2: reads a file\n"
                                     "job_B received\n");
}

static void a_daemon_in_trouble_is_told_too(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    overview(&b,
             "{\"pid\":42,\"version\":\"0.1.0\",\"uptime_ms\":500,\"draining\":true,"
             "\"disk_full\":true,"
             "\"connection\":{\"state\":\"disconnected\",\"url\":\"https://api.example\","
             "\"retry_in_ms\":61000},"
             "\"queue\":{\"waiting\":0,\"running\":1,\"slots\":1,\"outbox\":0},"
             "\"jobs\":[{\"id\":\"job_A\",\"state\":\"stopping\",\"attempt\":1,"
             "\"quarantined\":true}]}",
             1, 80);
    assert_string_equal(buf_str(&b),
                        "nairid 0.1.0, process 42, up 500ms\n"
                        "draining: takes nothing new, ends when its tasks are answered\n"
                        "the state directory's disk is full: takes nothing new until it has room\n"
                        "disconnected from https://api.example, next try in 1m1s\n"
                        "1 of 1 running, 0 waiting\n"
                        "job_A stopping, quarantined: a process of it can't be killed\n");
}

static void words_of_a_task_reach_the_terminal_plain_and_cut(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    const char *line;

    (void)state;
    overview(&b,
             "{\"jobs\":[{\"id\":\"job_A\",\"state\":\"running\","
             "\"progress\":\"\\u001b]0;title\\u0007\\u001b[31mred\\u202e\\nnairid: all is well "
             "and this goes on for longer than a line may be\"}]}",
             1, 40);
    line = strstr(buf_str(&b), "job_A");
    assert_non_null(line);
    assert_null(strchr(buf_str(&b), '\033'));
    assert_null(strstr(buf_str(&b), "\u202e"));
    assert_string_equal(line, "job_A running: red nairid: all is well \u2026\n");
}

static void what_is_missing_or_of_another_type_harms_nothing(void **state)
{
    static const char *const odd[] = {
        "{}", "{\"jobs\":{},\"queue\":[],\"connection\":7,\"version\":1,\"pid\":\"x\"}",
        "{\"jobs\":[1,null,[],\"job\",{\"started_ms\":-1,\"attempt\":1e300}]}",
        "{\"connection\":{\"state\":null,\"url\":{}},\"queue\":{\"running\":-5}}"
    };
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        overview(&b, odd[i], 1, 80);
        assert_memory_equal(b.data, "nairid ?, process 0, up 0ms\n", 28);
    }
}

static void changes(struct buf *b, const char *before, const char *now)
{
    CLEANUP_PTR(json_free) struct json *old = NULL;
    CLEANUP_PTR(json_free) struct json *fresh = NULL;

    buf_clear(b);
    if (before)
        assert_int_equal(json_parse(before, strlen(before), &old, NULL), 0);
    assert_int_equal(json_parse(now, strlen(now), &fresh, NULL), 0);
    overview_changes(b, old, fresh);
}

static void what_changed_is_a_line_each_and_time_is_no_change(void **state)
{
    static const char first[] = "{\"uptime_ms\":1,\"connection\":{\"state\":\"connected\"},"
                                "\"jobs\":[{\"id\":\"job_A\",\"message\":\"m1\","
                                "\"state\":\"running\",\"started_ms\":5}]}";
    static const char later[] = "{\"uptime_ms\":9,\"connection\":{\"state\":\"connected\"},"
                                "\"jobs\":[{\"id\":\"job_A\",\"message\":\"m1\","
                                "\"state\":\"running\",\"started_ms\":5,"
                                "\"progress\":\"Bash:\\u001b[2J make\"},"
                                "{\"id\":\"job_B\",\"message\":\"m2\","
                                "\"state\":\"received\"}]}";
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    changes(&b, NULL, first);
    assert_string_equal(buf_str(&b), "connected\njob_A running\n");
    changes(&b, first, first);
    assert_string_equal(buf_str(&b), "");
    changes(&b, first, later);
    assert_string_equal(buf_str(&b), "job_A running: Bash: make\njob_B received\n");
    changes(&b, later, "{\"connection\":{\"state\":\"disconnected\"},\"jobs\":[]}");
    assert_string_equal(buf_str(&b), "disconnected\njob_A done\njob_B done\n");
}

static int use_utf8(void **state)
{
    (void)state;
    return setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_daemon_is_told_in_some_lines),
        cmocka_unit_test(a_daemon_in_trouble_is_told_too),
        cmocka_unit_test(words_of_a_task_reach_the_terminal_plain_and_cut),
        cmocka_unit_test(what_is_missing_or_of_another_type_harms_nothing),
        cmocka_unit_test(what_changed_is_a_line_each_and_time_is_no_change),
    };

    return cmocka_run_group_tests(tests, use_utf8, NULL);
}
