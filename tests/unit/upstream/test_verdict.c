#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "upstream/verdict.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define JSON "{\"error\":\"the server's words\"}"
#define HTML "<html><body>Sign in</body></html>"

static struct verdict judge(const struct verdict_facts *given)
{
    struct verdict_facts f = *given;
    struct verdict v;

    f.content_type = f.content_type ? f.content_type : "";
    f.body = f.body ? f.body : "";
    f.body_len = f.body_len ? f.body_len : strlen(f.body);
    f.http_error = f.http_error ? f.http_error : "";
    f.never_say = f.never_say ? f.never_say : "nairid_secret";
    memset(&v, 0xff, sizeof v);
    verdict_judge(&f, &v);
    assert_int_equal(v.verdict == UPSTREAM_OK, v.text[0] == '\0');
    return v;
}

static void every_status_has_its_verdict(void **state)
{
    enum { P = VERDICT_POLL, S = VERDICT_SUBMIT, A = VERDICT_ACK };
    static const struct {
        int status;
        const char *body;
        enum upstream_verdict poll, submit, ack;
    } cases[] = {
        { 200, "", UPSTREAM_OK, UPSTREAM_OK, UPSTREAM_OK },
        { 200, "{}", UPSTREAM_OK, UPSTREAM_OK, UPSTREAM_OK },
        { 200, "ok", UPSTREAM_OK, UPSTREAM_OK, UPSTREAM_OK },
        { 201, "{}", UPSTREAM_DOWN, UPSTREAM_OK, UPSTREAM_OK },
        { 202, "", UPSTREAM_DOWN, UPSTREAM_OK, UPSTREAM_OK },
        { 204, "", UPSTREAM_DOWN, UPSTREAM_OK, UPSTREAM_OK },
        { 302, HTML, UPSTREAM_DOWN, UPSTREAM_DOWN, UPSTREAM_DOWN },
        { 304, "", UPSTREAM_DOWN, UPSTREAM_DOWN, UPSTREAM_DOWN },
        { 400, JSON, UPSTREAM_DOWN, UPSTREAM_TOO_LARGE, UPSTREAM_REFUSED },
        { 400, HTML, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 401, JSON, UPSTREAM_KEY_REFUSED, UPSTREAM_KEY_REFUSED, UPSTREAM_KEY_REFUSED },
        { 401, HTML, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 401, "", UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 403, JSON, UPSTREAM_KEY_REFUSED, UPSTREAM_KEY_REFUSED, UPSTREAM_KEY_REFUSED },
        { 403, HTML, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 403, "\"forbidden\"", UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 403, "{\"error\":", UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 404, JSON, UPSTREAM_DOWN, UPSTREAM_REFUSED, UPSTREAM_REFUSED },
        { 404, HTML, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 404, "404 page not found\n", UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 405, JSON, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 407, HTML, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 408, "", UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 409, JSON, UPSTREAM_DOWN, UPSTREAM_CONFLICT, UPSTREAM_CONFLICT },
        { 409, HTML, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 410, JSON, UPSTREAM_DOWN, UPSTREAM_REFUSED, UPSTREAM_REFUSED },
        { 413, JSON, UPSTREAM_DOWN, UPSTREAM_TOO_LARGE, UPSTREAM_REFUSED },
        { 413, HTML, UPSTREAM_DOWN, UPSTREAM_TOO_LARGE, UPSTREAM_FAILED },
        { 418, JSON, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 422, JSON, UPSTREAM_DOWN, UPSTREAM_TOO_LARGE, UPSTREAM_REFUSED },
        { 422, HTML, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 429, "", UPSTREAM_BUSY, UPSTREAM_BUSY, UPSTREAM_BUSY },
        { 429, HTML, UPSTREAM_BUSY, UPSTREAM_BUSY, UPSTREAM_BUSY },
        { 500, JSON, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 500, "oops", UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 501, JSON, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_FAILED },
        { 502, HTML, UPSTREAM_DOWN, UPSTREAM_DOWN, UPSTREAM_DOWN },
        { 503, HTML, UPSTREAM_BUSY, UPSTREAM_BUSY, UPSTREAM_BUSY },
        { 504, "", UPSTREAM_DOWN, UPSTREAM_DOWN, UPSTREAM_DOWN },
        { 599, "", UPSTREAM_DOWN, UPSTREAM_DOWN, UPSTREAM_DOWN },
        { 999, "", UPSTREAM_DOWN, UPSTREAM_DOWN, UPSTREAM_DOWN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const enum upstream_verdict want[] = {
            [P] = cases[i].poll, [S] = cases[i].submit, [A] = cases[i].ack
        };

        for (int request = P; request <= A; request++) {
            struct verdict v =
                judge(&(struct verdict_facts){ .request = (enum verdict_request)request,
                                               .status = cases[i].status,
                                               .body = cases[i].body });

            if (v.verdict != want[request])
                fail_msg("request %d, status %d, body '%s': verdict %d, not %d", request,
                         cases[i].status, cases[i].body, (int)v.verdict, (int)want[request]);
        }
    }
}

static void every_outcome_but_an_answer_is_down_and_keeps_its_sentence(void **state)
{
    (void)state;
    for (int outcome = HTTP_DONE + 1; outcome < HTTP_OUTCOME_COUNT; outcome++)
        for (int request = VERDICT_POLL; request <= VERDICT_ACK; request++) {
            struct verdict v =
                judge(&(struct verdict_facts){ .request = (enum verdict_request)request,
                                               .outcome = (enum http_outcome)outcome,
                                               .http_error = "hub:443 refused the connection" });
            bool alone = outcome == HTTP_TOO_LARGE && request != VERDICT_POLL;

            assert_int_equal(v.verdict, alone ? UPSTREAM_FAILED : UPSTREAM_DOWN);
            assert_non_null(strstr(v.text, "hub:443 refused the connection"));
        }
}

static void a_download_is_final_where_it_is_the_servers_word(void **state)
{
    static const struct {
        struct verdict_facts f;
        enum upstream_verdict want;
        const char *says;
    } cases[] = {
        { { .status = 200 }, UPSTREAM_OK, "" },
        { { .status = 404, .body = JSON }, UPSTREAM_REFUSED, "the server's words" },
        { { .status = 409, .body = JSON }, UPSTREAM_REFUSED, "status 409" },
        { { .status = 410, .body = JSON }, UPSTREAM_REFUSED, "status 410" },
        { { .status = 400, .body = JSON }, UPSTREAM_REFUSED, "status 400" },
        { { .status = 404, .body = HTML }, UPSTREAM_FAILED, "page" },
        { { .status = 401, .body = JSON }, UPSTREAM_KEY_REFUSED, "key" },
        { { .status = 500, .body = JSON }, UPSTREAM_FAILED, "status 500" },
        { { .status = 503 }, UPSTREAM_BUSY, "busy" },
        { { .status = 502, .body = HTML }, UPSTREAM_DOWN, "status 502" },
        { { .status = 302 }, UPSTREAM_DOWN, "redirected" },
        { { .status = 200, .file_fault = -EBADMSG }, UPSTREAM_FAILED, "fault" },
        { { .status = 200, .file_fault = -EILSEQ }, UPSTREAM_REFUSED, "fault" },
        { { .status = 200, .file_fault = -ENODATA }, UPSTREAM_REFUSED, "fault" },
        { { .outcome = HTTP_STOPPED, .file_fault = -EILSEQ }, UPSTREAM_REFUSED, "fault" },
        { { .outcome = HTTP_STOPPED, .file_fault = -EFBIG }, UPSTREAM_TOO_LARGE, "fault" },
        { { .outcome = HTTP_STOPPED }, UPSTREAM_FAILED, "broken off" },
        { { .outcome = HTTP_TOO_LARGE }, UPSTREAM_TOO_LARGE, "too large" },
        { { .outcome = HTTP_BROKEN, .http_error = "cut" }, UPSTREAM_DOWN, "cut" },
        { { .outcome = HTTP_TIMEOUT, .http_error = "slow" }, UPSTREAM_DOWN, "slow" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct verdict_facts f = cases[i].f;
        struct verdict v;

        f.request = VERDICT_DOWNLOAD;
        f.file_error = f.file_fault < 0 ? "the fault" : "";
        v = judge(&f);
        if (v.verdict != cases[i].want || !strstr(v.text, cases[i].says))
            fail_msg("case %zu: verdict %d, '%s'", i, (int)v.verdict, v.text);
    }
}

static void an_upload_is_judged_by_what_another_try_could_change(void **state)
{
    static const struct {
        int status;
        const char *body;
        bool has_id;
        enum upstream_verdict verdict;
    } cases[] = {
        { 201, "{\"attachment_id\":\"att_1\"}", true, UPSTREAM_OK },
        { 200, "{\"attachment_id\":\"att_1\"}", true, UPSTREAM_OK },
        { 201, "{}", false, UPSTREAM_FAILED },
        { 201, HTML, false, UPSTREAM_DOWN },
        { 400, JSON, false, UPSTREAM_REFUSED },
        { 400, HTML, false, UPSTREAM_FAILED },
        { 401, JSON, false, UPSTREAM_KEY_REFUSED },
        { 404, JSON, false, UPSTREAM_REFUSED },
        { 404, HTML, false, UPSTREAM_FAILED },
        { 409, JSON, false, UPSTREAM_CONFLICT },
        { 413, JSON, false, UPSTREAM_TOO_LARGE },
        { 413, HTML, false, UPSTREAM_TOO_LARGE },
        { 422, JSON, false, UPSTREAM_REFUSED },
        { 429, JSON, false, UPSTREAM_BUSY },
        { 500, "", false, UPSTREAM_FAILED },
        { 502, HTML, false, UPSTREAM_DOWN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(judge(&(struct verdict_facts){ .request = VERDICT_UPLOAD,
                                                        .status = cases[i].status,
                                                        .body = cases[i].body,
                                                        .has_id = cases[i].has_id })
                             .verdict,
                         cases[i].verdict);
    for (int reached = 0; reached < 2; reached++) { /* what broke off may be its own fault */
        const struct verdict_facts f = { .request = VERDICT_UPLOAD,
                                         .outcome = HTTP_TIMEOUT,
                                         .reached = reached,
                                         .http_error = "it broke off" };

        assert_int_equal(judge(&f).verdict, reached ? UPSTREAM_FAILED : UPSTREAM_DOWN);
    }
    assert_int_equal(judge(&(struct verdict_facts){ .request = VERDICT_UPLOAD,
                                                    .outcome = HTTP_STOPPED,
                                                    .http_error = "x" })
                         .verdict,
                     UPSTREAM_REFUSED);
}

static void a_log_in_page_with_status_200_delivers_nothing(void **state)
{
    (void)state;
    for (int request = VERDICT_POLL; request <= VERDICT_ACK; request++) {
        struct verdict_facts f = { .request = (enum verdict_request)request,
                                   .status = 200,
                                   .body = " \n" HTML,
                                   .listing_error = "byte 1: no JSON value" };

        assert_int_equal(judge(&f).verdict, UPSTREAM_DOWN);
        f.body = "Sign in";
        f.content_type = "TEXT/HTML; charset=utf-8";
        assert_int_equal(judge(&f).verdict, UPSTREAM_DOWN);
        assert_non_null(strstr(judge(&f).text, "log-in page"));
    }
}

static void the_servers_words_are_told_but_cleaned_and_cut(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct verdict_facts f = { .request = VERDICT_SUBMIT, .status = 404, .body = JSON };

    (void)state;
    assert_non_null(strstr(judge(&f).text, "(the server's words)"));
    f.body = "{\"message\":\"other shape\"}";
    assert_non_null(strstr(judge(&f).text, "(other shape)"));
    f.body = "{\"error\":\"a\\u001b[2J\\nb\\tc\"}";
    assert_non_null(strstr(judge(&f).text, "(a b c)"));
    f.body = "{\"error\":{\"deep\":1}}";
    assert_null(strstr(judge(&f).text, "("));
    buf_append_str(&b, "{\"error\":\"");
    for (int i = 0; i < 5000; i++)
        buf_append_str(&b, "\xc3\xa4");
    buf_append_str(&b, "\"}");
    f.body = buf_str(&b);
    assert_true(strlen(judge(&f).text) < 300);
    assert_int_equal(judge(&f).verdict, UPSTREAM_REFUSED);
}

static void a_server_that_echoes_the_key_is_not_quoted(void **state)
{
    static const int statuses[] = { 400, 401, 404, 409, 418, 429, 500 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
        struct verdict v = judge(&(struct verdict_facts){
            .request = VERDICT_SUBMIT,
            .status = statuses[i],
            .body = "{\"error\":\"bad header Authorization: Bearer nairid_secret!\"}" });

        assert_null(strstr(v.text, "nairid_secret"));
        assert_null(strstr(v.text, "Bearer"));
    }
}

static void a_body_that_is_too_long_for_an_error_is_no_json(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    buf_append_str(&b, "{\"error\":\"");
    for (int i = 0; i < 7000; i++)
        buf_append_str(&b, "0123456789");
    buf_append_str(&b, "\"}");
    assert_int_equal(judge(&(struct verdict_facts){
                               .request = VERDICT_POLL, .status = 401, .body = buf_str(&b) })
                         .verdict,
                     UPSTREAM_DOWN);
}

static void a_busy_server_is_quoted_with_its_wait(void **state)
{
    struct verdict v =
        judge(&(struct verdict_facts){ .status = 503, .body = HTML, .retry_after_ms = 90 * 1000 });

    (void)state;
    assert_non_null(strstr(v.text, "1m30s"));
    assert_non_null(strstr(v.text, "503"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_verdict),
        cmocka_unit_test(every_outcome_but_an_answer_is_down_and_keeps_its_sentence),
        cmocka_unit_test(a_download_is_final_where_it_is_the_servers_word),
        cmocka_unit_test(an_upload_is_judged_by_what_another_try_could_change),
        cmocka_unit_test(a_log_in_page_with_status_200_delivers_nothing),
        cmocka_unit_test(the_servers_words_are_told_but_cleaned_and_cut),
        cmocka_unit_test(a_server_that_echoes_the_key_is_not_quoted),
        cmocka_unit_test(a_body_that_is_too_long_for_an_error_is_no_json),
        cmocka_unit_test(a_busy_server_is_quoted_with_its_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
