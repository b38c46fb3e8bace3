/* What is alike in the streams of all runners; what is their own is in test_*_stream.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "runner/printout.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"

/* Says, ends and changes sessions as its lines tell. */
struct world {
    struct printout out;
    unsigned lines;
    size_t dropped;
    struct buf events;
};

static void on_event(const struct runner_event *ev, void *ctx)
{
    struct world *w = ctx;

    if (ev->type == RUNNER_SESSION)
        buf_printf(&w->events, "session %s\n", ev->session);
    else
        buf_append_str(&w->events, "final\n");
}

static void on_line(const struct json *line, void *parser)
{
    struct world *w = parser;
    const char *answer = json_get_str(line, "answer"), *said = json_get_str(line, "said");

    w->lines++;
    printout_session(&w->out, json_get_str(line, "session"));
    if (said)
        w->dropped = printout_say(&w->out, said);
    if (answer) {
        struct runner_result result = { .ok = true, .text = mem_strdup(answer) };

        printout_conclude(&w->out, &result);
    }
}

static void start(struct world *w, size_t reply_limit)
{
    const struct settings settings = { .task_reply_limit_bytes = reply_limit };

    *w = (struct world){ 0 };
    printout_init(&w->out, &settings, on_line, w);
}

static void feed(struct world *w, const char *text)
{
    printout_feed(&w->out, text, strlen(text), on_event, w);
}

static void stop(struct world *w)
{
    printout_done(&w->out);
    buf_done(&w->events);
}

static void only_objects_are_read_and_the_end_of_the_rest_is_kept(void **state)
{
    struct world w;
    struct runner_result result;

    (void)state;
    start(&w, 100);
    feed(&w, "Warning: \033[31mold\033[0m kernel\n[1,2]\n{\"type\":\n\n{\"sa");
    feed(&w, "id\":\"nearly\"}\nIllegal instruction");
    assert_int_equal(w.lines, 1);
    assert_false(printout_end(&w.out));
    printout_take(&w.out, &result);
    assert_false(result.ok || result.final);
    assert_string_equal(result.text,
                        "Warning: old kernel\n[1,2]\n{\"type\":\nIllegal instruction\n");
    runner_result_done(&result);
    stop(&w);
}

/* A line that would cost the daemon gigabytes as a tree is not read. */
static void a_line_of_very_many_values_is_junk(void **state)
{
    CLEANUP(buf_done) struct buf text = { 0 };
    struct world w;

    (void)state;
    start(&w, 100);
    buf_append_str(&text, "{\"answer\":\"x\",\"x\":[0");
    for (unsigned i = 0; i < PRINTOUT_NODES_MAX; i++)
        buf_append_str(&text, ",0");
    buf_append_str(&text, "]}\n{\"answer\":\"y\"}\n");
    feed(&w, buf_str(&text));
    assert_int_equal(w.lines, 1);
    assert_string_equal(w.out.result.text, "y");
    assert_true(w.out.junk.len > 0 && w.out.junk.len <= PRINTOUT_JUNK_MAX);
    stop(&w);
}

static void what_was_said_last_stands_where_there_is_no_end(void **state)
{
    struct world w;
    struct runner_result result;

    (void)state;
    start(&w, 5);
    feed(&w, "{\"said\":\"first words\"}\n{\"said\":\"abcd\\u00e9fgh\"}");
    assert_false(printout_end(&w.out)); /* which reads the line without a newline */
    assert_int_equal(w.dropped, 5);
    printout_take(&w.out, &result);
    assert_string_equal(result.text, "abcd");
    runner_result_done(&result);
    stop(&w);
}

static void the_first_end_is_told_and_the_last_one_counts(void **state)
{
    struct world w;
    struct runner_result result;

    (void)state;
    start(&w, 100);
    feed(&w, "{\"answer\":\"one\"}\n{\"answer\":\"two\"}\n{\"answer\":\"three\"}");
    assert_string_equal(buf_str(&w.events), "final\n");
    assert_true(printout_end(&w.out));
    printout_take(&w.out, &result);
    assert_true(result.ok && result.final);
    assert_string_equal(result.text, "three");
    runner_result_done(&result);
    stop(&w);
}

static void nobody_is_told_of_what_comes_after_the_last_piece(void **state)
{
    struct world w;

    (void)state;
    start(&w, 100);
    feed(&w, "{\"session\":\"s\",\"answer\":\"late\"}");
    assert_true(printout_end(&w.out));
    assert_string_equal(buf_str(&w.events), "");
    stop(&w);
}

static void only_a_plain_session_id_counts_and_each_change_is_told(void **state)
{
    static const char *const odd[] = { "", "a b", "../x", "\\n" };
    CLEANUP(buf_done) struct buf text = { 0 };
    struct world w;

    (void)state;
    start(&w, 100);
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
        buf_printf(&text, "{\"session\":\"%s\"}\n", odd[i]);
    feed(&w, buf_str(&text));
    feed(&w, "{\"session\":7}\n{}\n");
    assert_string_equal(buf_str(&w.events), "");
    feed(&w, "{\"session\":\"a\"}\n{\"session\":\"a\"}\n{\"session\":\"b-1\"}\n{\"session\":\"a\"}"
             "\n");
    assert_string_equal(buf_str(&w.events), "session a\nsession b-1\nsession a\n");
    stop(&w);
}

static void very_many_sessions_are_noise(void **state)
{
    CLEANUP(buf_done) struct buf text = { 0 };
    struct world w;
    unsigned told = 0;

    (void)state;
    start(&w, 100);
    for (unsigned i = 0; i < 1000; i++)
        buf_printf(&text, "{\"session\":\"s%u\"}\n", i);
    feed(&w, buf_str(&text));
    for (const char *at = buf_str(&w.events); (at = strstr(at, "session ")); at++)
        told++;
    assert_int_equal(told, PRINTOUT_SESSIONS_MAX);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_objects_are_read_and_the_end_of_the_rest_is_kept),
        cmocka_unit_test(a_line_of_very_many_values_is_junk),
        cmocka_unit_test(what_was_said_last_stands_where_there_is_no_end),
        cmocka_unit_test(the_first_end_is_told_and_the_last_one_counts),
        cmocka_unit_test(nobody_is_told_of_what_comes_after_the_last_piece),
        cmocka_unit_test(only_a_plain_session_id_counts_and_each_change_is_told),
        cmocka_unit_test(very_many_sessions_are_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
