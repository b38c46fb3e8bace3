#include "main/transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/json.h"

#define USER(id, status)                                                                           \
    "{\"id\":\"" id "\",\"role\":\"user\",\"status\":\"" status "\",\"content\":\"q " id "\"}"
#define ANSWER(text) "{\"id\":\"a\",\"role\":\"assistant\",\"content\":\"" text "\"}"
#define ABOUT(id, text)                                                                            \
    "{\"id\":\"a\",\"role\":\"assistant\",\"processed_message_id\":\"" id "\",\"content\":\"" text \
    "\"}"
#define ERROR(text)                                                                                \
    "{\"id\":\"e\",\"role\":\"system\",\"content\":\"nairid encountered error: " text "\"}"
#define SYSTEM(text)      "{\"id\":\"s\",\"role\":\"system\",\"content\":\"" text "\"}"
#define PROGRESS(payload) "{\"id\":\"p\",\"role\":\"progress\",\"content\":\"" payload "\"}"
#define TEXT(text)                                                                                 \
    PROGRESS("{\\\"progress_type\\\":\\\"text\\\",\\\"text_delta\\\":\\\"" text "\\\"}")
#define TOOL(name, input)                                                                          \
    PROGRESS("{\\\"progress_type\\\":\\\"tool_use\\\",\\\"tool_name\\\":\\\"" name                 \
             "\\\",\\\"tool_input\\\":\\\"" input "\\\"}")

static struct transcript read_list(const char *rows, const char *id)
{
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP_PTR(json_free) struct json *list = NULL;
    struct transcript t;

    buf_printf(&text, "{\"messages\":[%s]}", rows);
    assert_int_equal(json_parse(text.data, text.len, &list, NULL), 0);
    transcript_read(list, id, &t);
    return t;
}

#define ASSERT_SAYS(rows, id, want_status, want_answer, want_error, want_doing)                    \
    do {                                                                                           \
        struct transcript t_ = read_list(rows, id);                                                \
        assert_int_equal(t_.status, want_status);                                                  \
        assert_string_equal(buf_str(&t_.answer), want_answer);                                     \
        assert_string_equal(buf_str(&t_.error), want_error);                                       \
        assert_string_equal(buf_str(&t_.doing), want_doing);                                       \
        transcript_done(&t_);                                                                      \
    } while (0)

static void an_answer_is_what_follows_the_question(void **state)
{
    (void)state;
    ASSERT_SAYS(USER("u1", "completed") "," ANSWER("one"), "u1", TRANSCRIPT_COMPLETED, "one", "",
                "");
    ASSERT_SAYS(USER("u1", "completed") "," ANSWER("one") "," ANSWER("and two"), "u1",
                TRANSCRIPT_COMPLETED, "one\nand two", "", "");
    ASSERT_SAYS(USER("u1", "failed") "," ERROR("no"), "u1", TRANSCRIPT_FAILED, "",
                "nairid encountered error: no", "");
    ASSERT_SAYS(USER("u1", "completed") "," SYSTEM("New commit added") "," ANSWER("one"), "u1",
                TRANSCRIPT_COMPLETED, "one", "", "");
}

static void each_question_of_a_conversation_gets_its_own_answer(void **state)
{
    static const char one_by_one[] = USER("u1", "completed") "," ANSWER("one") "," USER(
        "u2", "failed") "," ERROR("two") "," USER("u3", "completed") "," ANSWER("three");
    static const char asked_early[] = USER("u1", "completed") "," USER("u2", "failed") "," USER(
        "u3", "completed") "," ANSWER("one") "," ERROR("two") "," ANSWER("three");

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *rows = i ? asked_early : one_by_one;

        ASSERT_SAYS(rows, "u1", TRANSCRIPT_COMPLETED, "one", "", "");
        ASSERT_SAYS(rows, "u2", TRANSCRIPT_FAILED, "", "nairid encountered error: two", "");
        ASSERT_SAYS(rows, "u3", TRANSCRIPT_COMPLETED, "three", "", "");
    }
}

static void a_row_that_names_its_question_is_believed(void **state)
{
    static const char rows[] = USER("u1", "completed") "," USER("u2", "completed") "," ABOUT(
        "u2", "two") "," ABOUT("u1", "one") "," ABOUT("u2", "and more");

    (void)state;
    ASSERT_SAYS(rows, "u1", TRANSCRIPT_COMPLETED, "one", "", "");
    ASSERT_SAYS(rows, "u2", TRANSCRIPT_COMPLETED, "two\nand more", "", "");
}

static void the_last_progress_is_told_in_a_few_words(void **state)
{
    (void)state;
    ASSERT_SAYS(USER("u1", "queued"), "u1", TRANSCRIPT_QUEUED, "", "", "");
    ASSERT_SAYS(USER("u1", "pending") "," TEXT("thinking") "," TOOL("Bash", "make test"), "u1",
                TRANSCRIPT_PENDING, "", "", "Bash: make test");
    ASSERT_SAYS(USER("u1", "pending") "," TOOL("Bash", "make") "," TEXT("well"), "u1",
                TRANSCRIPT_PENDING, "", "", "well");
    /* what can't be read, or says nothing, leaves what was said */
    ASSERT_SAYS(USER("u1", "pending") "," TEXT("well") "," PROGRESS("no json") "," PROGRESS("{}"),
                "u1", TRANSCRIPT_PENDING, "", "", "well");
    /* progress of an earlier question isn't this one's */
    ASSERT_SAYS(USER("u1", "completed") "," USER("u2", "pending") "," TEXT("first") "," ANSWER("x"),
                "u2", TRANSCRIPT_PENDING, "", "", "");
}

static void nonsense_from_the_server_is_survived(void **state)
{
    static const char *const rows[] = {
        "",
        "1",
        "null",
        "[]",
        "{}",
        "{\"role\":7,\"content\":[]}",
        "{\"role\":\"user\"}",
        "{\"role\":\"user\",\"id\":\"u1\",\"content\":null,\"status\":\"completed\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        ASSERT_SAYS(rows[i], "u1", TRANSCRIPT_UNKNOWN, "", "", "");
    ASSERT_SAYS("{\"role\":\"user\",\"id\":\"u1\",\"content\":\"\",\"status\":\"new\"}", "u1",
                TRANSCRIPT_UNKNOWN, "", "", "");
    assert_null(transcript_last_question(NULL));
}

static void the_last_question_is_found(void **state)
{
    static const char text[] =
        "{\"messages\":[" USER("u1", "completed") "," ANSWER("x") "," USER("u2", "queued") "]}";
    CLEANUP_PTR(json_free) struct json *list = NULL;

    (void)state;
    assert_int_equal(json_parse(text, strlen(text), &list, NULL), 0);
    assert_string_equal(transcript_last_question(list), "u2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_what_follows_the_question),
        cmocka_unit_test(each_question_of_a_conversation_gets_its_own_answer),
        cmocka_unit_test(a_row_that_names_its_question_is_believed),
        cmocka_unit_test(the_last_progress_is_told_in_a_few_words),
        cmocka_unit_test(nonsense_from_the_server_is_survived),
        cmocka_unit_test(the_last_question_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
