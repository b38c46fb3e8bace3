#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/utf8.h"

/* While a test runs, stderr is a datagram socket, so that each write(2) can be told from the next;
 * the test reads from the other end. */
struct capture {
    int saved_stderr;
    int reader;
};

static int capture_start(void **state)
{
    struct capture *c = mem_new(struct capture);
    int pair[2];

    c->saved_stderr = dup(STDERR_FILENO);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        dup2(pair[1], STDERR_FILENO) < 0)
        return -1;
    (void)close(pair[1]);
    c->reader = pair[0];
    *state = c;
    return unsetenv("JOURNAL_STREAM");
}

static int capture_stop(void **state)
{
    struct capture *c = *state;

    (void)dup2(c->saved_stderr, STDERR_FILENO);
    (void)close(c->saved_stderr);
    (void)close(c->reader);
    free(c);
    log_setup(LOG_INFO, LOG_FORMAT_TEXT, NULL);
    return 0;
}

/* What the last call wrote, "" if nothing; the buffer is the caller's. */
static const char *written(void **state, char *line, size_t size)
{
    const struct capture *c = *state;
    ssize_t n = recv(c->reader, line, size - 1, MSG_DONTWAIT);

    line[n > 0 ? n : 0] = '\0';
    return line;
}

#define LINE_SIZE 32768
#define WRITTEN   written(state, (char[LINE_SIZE]){ 0 }, LINE_SIZE)

/* The line without its time. */
static const char *after_time(const char *line)
{
    char stamp[32] = "";
    int64_t ms = 0;

    assert_true(strlen(line) > 25);
    memcpy(stamp, line, 24);
    assert_int_equal(clock_parse_rfc3339(stamp, &ms), 0);
    assert_true(clock_wall_ms() - ms < 60000);
    return line + 25;
}

static void a_text_line_has_time_level_event_and_fields(void **state)
{
    log_setup(LOG_INFO, LOG_FORMAT_AUTO, NULL);
    log_info("started", "pid", LOG_N(42), "state", "/var/lib/x", "least", LOG_N(INT64_MIN));
    assert_string_equal(after_time(WRITTEN),
                        "info started pid=42 state=/var/lib/x least=-9223372036854775808\n");
    log_error("stopped");
    assert_string_equal(after_time(WRITTEN), "error stopped\n");
    log_warning("w", "absent", NULL, "there", "x");
    assert_string_equal(after_time(WRITTEN), "warning w there=x\n");
}

static void levels_beyond_the_chosen_one_are_silent(void **state)
{
    log_setup(LOG_NOTICE, LOG_FORMAT_TEXT, NULL);
    log_debug("d");
    log_info("i");
    assert_string_equal(WRITTEN, "");
    log_notice("n");
    assert_string_equal(after_time(WRITTEN), "notice n\n");
    assert_true(log_is_on(LOG_ERROR) && log_is_on(LOG_NOTICE));
    assert_false(log_is_on(LOG_INFO) || log_is_on(LOG_DEBUG));
    log_setup(LOG_DEBUG, LOG_FORMAT_TEXT, NULL);
    log_debug("d");
    assert_string_equal(after_time(WRITTEN), "debug d\n");
}

static void values_are_quoted_where_they_need_it(void **state)
{
    static const struct {
        const char *value, *shown;
    } samples[] = {
        { "plain", "plain" },
        { "a/b:c,d;e{f}", "a/b:c,d;e{f}" },
        { "", "\"\"" },
        { "two words", "\"two words\"" },
        { "a=b", "\"a=b\"" },
        { "say \"x\"", "\"say \\\"x\\\"\"" },
        { "back\\slash", "\"back\\\\slash\"" },
        { "gr\xc3\xbc\xc3\x9f\xf0\x9f\x98\x80", "\"gr\xc3\xbc\xc3\x9f\xf0\x9f\x98\x80\"" },
        { "a\x7f", "\"a\\u007f\"" },
        { "tab\there", "\"tab\\there\"" },
        { "\x1b[31mred\x07\x7f", "\"\\u001b[31mred\\u0007\\u007f\"" },
        { "\xc2\x9b"
          "31m\xc2\x85\xc2\xa0",
          "\"\\u009b31m\\u0085\xc2\xa0\"" },
        { "\xe2\x80\xa8\xe2\x80\xa9", "\"\\u2028\\u2029\"" },
        { "\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x94", "\"\\u202e\\u2066\xe2\x80\x94\"" },
        { "bad\xff\xc3(", "\"bad\xef\xbf\xbd\xef\xbf\xbd(\"" },
        { "cut\xe2\x82", "\"cut\xef\xbf\xbd\xef\xbf\xbd\"" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        AUTO_FREE char *want = mem_printf("info e v=%s\n", samples[i].shown);

        log_info("e", "v", samples[i].value);
        assert_string_equal(after_time(WRITTEN), want);
    }
}

static void a_hostile_value_forges_neither_line_nor_field(void **state)
{
    static const char *const hostile[] = {
        "x\n2026-01-01T00:00:00.000Z error forged",
        "x\r\nerror forged",
        "x level=error",
        "\" level=\"error",
        "\\\" forged=1",
        "x\"}\n{\"event\":\"forged\"",
        "\xe2\x80\xa8 error forged",
        "\n<0>emergency",
    };
    static const enum log_format formats[] = { LOG_FORMAT_TEXT, LOG_FORMAT_JSON,
                                               LOG_FORMAT_JOURNAL };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
            char line[LINE_SIZE];
            size_t quotes = 0;

            log_setup(LOG_INFO, formats[f], NULL);
            log_info("event", "value", hostile[i]);
            (void)written(state, line, sizeof line);
            assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1); /* one, at the end */
            for (const char *s = line; *s != '\0'; s++) {
                if (*s == '\\')
                    s++;
                else
                    quotes += *s == '"';
            }
            if (formats[f] != LOG_FORMAT_JSON) {
                assert_int_equal(quotes, 2);
                assert_int_equal(line[strlen(line) - 2], '"'); /* the value is the rest */
            }
        }
}

static void names_can_not_break_a_line(void **state)
{
    log_info("ev ent\n", "ke\"y=", "v");
    assert_string_equal(after_time(WRITTEN), "info ev_ent_ ke_y_=v\n");
}

static void a_json_line_is_one_object(void **state)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    static const char value[] = "q\"b\\n\n\x01\x7f\xc3\xa4\xe2\x80\xa8";
    char line[LINE_SIZE];
    int64_t n = 0;

    log_setup(LOG_INFO, LOG_FORMAT_JSON, NULL);
    log_warning("poll_failed", "value", value, "n", LOG_N(-3), "none", LOG_N_IF(false, 4), "text",
                "-3", "empty", "");
    (void)written(state, line, sizeof line);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_int_equal(json_parse(line, strlen(line), &root, NULL), 0);
    assert_string_equal(json_get_str(root, "level"), "warning");
    assert_string_equal(json_get_str(root, "event"), "poll_failed");
    assert_string_equal(json_get_str(root, "value"), value);
    assert_int_equal(json_get_i64(root, "n", &n), 0);
    assert_int_equal(n, -3);
    assert_string_equal(json_get_str(root, "text"), "-3"); /* one that only looks like it */
    assert_string_equal(json_get_str(root, "empty"), "");
    assert_int_equal(strlen(json_get_str(root, "time")), 24);
    assert_int_equal(json_len(root), 7);
}

static void a_journal_line_has_a_priority_and_no_time(void **state)
{
    static const char *const want[] = { "<3>error e a=b\n", "<4>warning e a=b\n",
                                        "<5>notice e a=b\n", "<6>info e a=b\n",
                                        "<7>debug e a=b\n" };

    log_setup(LOG_DEBUG, LOG_FORMAT_JOURNAL, NULL);
    for (int level = LOG_ERROR; level < LOG_LEVEL_COUNT; level++) {
        log_event((enum log_level)level, "e", "a", "b", (char *)NULL);
        assert_string_equal(WRITTEN, want[level]);
    }
}

static void auto_means_journal_where_stderr_leads_there(void **state)
{
    char stream[64];
    struct stat st;

    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_setup(LOG_INFO, LOG_FORMAT_AUTO, NULL);
    log_info("e");
    assert_string_equal(WRITTEN, "<6>info e\n");
    assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0); /* our stderr was redirected */
    log_setup(LOG_INFO, LOG_FORMAT_AUTO, NULL);
    log_info("e");
    assert_string_equal(after_time(WRITTEN), "info e\n");
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

static void secrets_are_masked_before_anything_changes_them(void **state)
{
    CLEANUP_PTR(mask_free) struct mask *m = mask_new();
    AUTO_FREE char *edge = NULL;

    assert_int_equal(mask_add(m, "pass\"word\n1", 11), 0);
    log_setup(LOG_INFO, LOG_FORMAT_TEXT, m);
    log_info("e", "v", "key pass\"word\n1!");
    assert_string_equal(after_time(WRITTEN), "info e v=\"key [secret]!\"\n");
    log_setup(LOG_INFO, LOG_FORMAT_JSON, m);
    log_info("e", "v", "pass\"word\n1");
    assert_non_null(strstr(WRITTEN, "\"v\":\"[secret]\"}"));
    assert_int_equal(mask_add(m, "12345678", 8), 0);
    log_info("e", "v", LOG_N(9123456780));
    assert_non_null(strstr(WRITTEN, "\"v\":\"9[secret]0\"}"));
    /* across the place where a long value is cut */
    edge = mem_printf("%4090s%s", "", "pass\"word\n1");
    log_info("e", "v", edge);
    assert_null(strstr(WRITTEN, "pas"));
    log_setup(LOG_INFO, LOG_FORMAT_TEXT, NULL);
}

static void long_values_are_cut_between_characters(void **state)
{
    AUTO_FREE char *value = mem_alloc(10001);
    char line[LINE_SIZE];

    for (size_t shift = 0; shift < 3; shift++) {
        memset(value, 'x', 3);
        for (size_t i = shift; i + 3 <= 10000; i += 3)
            memcpy(value + i, "\xe2\x82\xac", 3);
        log_info("e", "v", value);
        (void)written(state, line, sizeof line);
        assert_in_range(strlen(line), 4096, 4096 + 64);
        assert_true(utf8_is_valid(line, strlen(line)));
        assert_non_null(strstr(line, "...\"\n"));
    }
}

static void a_failed_write_harms_nothing(void **state)
{
    int reader_and_writer[2];

    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(reader_and_writer), 0);
    (void)close(reader_and_writer[0]);
    assert_true(dup2(reader_and_writer[1], STDERR_FILENO) >= 0);
    (void)close(reader_and_writer[1]);
    errno = ENOENT;
    log_error("nobody_reads");
    assert_int_equal(errno, ENOENT);
    (void)close(STDERR_FILENO);
    log_error("nothing_is_open");
    assert_int_equal(errno, ENOENT);
    (void)state;
}

static void *log_many(void *name)
{
    for (int i = 0; i < 500; i++)
        log_info("e", "thread", name, "filler", "0123456789 0123456789 0123456789 0123456789");
    return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
    static char names[4][2] = { "0", "1", "2", "3" };
    AUTO_CLOSE int file = memfd_create("log", MFD_CLOEXEC);
    CLEANUP(buf_done) struct buf b = { 0 };
    pthread_t threads[4];
    size_t lines = 0;
    char *line, *rest;

    (void)state;
    assert_true(fcntl(file, F_SETFL, O_APPEND) == 0 && dup2(file, STDERR_FILENO) >= 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    for (int i = 0; i < 200; i++) /* and a reload meanwhile */
        log_setup(LOG_INFO, LOG_FORMAT_JOURNAL, NULL);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    b.len = (size_t)fd_read_all(file, buf_reserve(&b, 1 << 20), 1 << 20);
    for (line = b.data; *line != '\0'; line = rest + 1, lines++) {
        rest = strchr(line, '\n');
        assert_non_null(rest);
        *rest = '\0';
        assert_non_null(strstr(line, "info e thread="));
        assert_string_equal(strstr(line, " filler="),
                            " filler=\"0123456789 0123456789 0123456789 0123456789\"");
    }
    assert_int_equal(lines, 2000);
}

#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, capture_start, capture_stop)

static void keep_tapped(const char *job_id, const char *line, void *ctx)
{
    struct buf *kept = ctx;

    buf_printf(kept, "%s|%s\n", job_id, line);
}

static void a_tap_gets_the_lines_that_name_a_job_as_text(void **state)
{
    CLEANUP(buf_done) struct buf kept = { 0 };
    char line[64];

    (void)state;
    log_setup(LOG_INFO, LOG_FORMAT_JSON, NULL);
    log_set_tap(keep_tapped, &kept);
    log_info("mine", "job", "job_1", "n", LOG_N(7), "text", "two words");
    log_info("nobodys", "jobs", "job_1");
    log_debug("too_low", "job", "job_1");
    log_info("none", "job", (const char *)NULL);
    log_set_tap(NULL, NULL);
    log_info("later", "job", "job_1");
    assert_int_equal(strncmp(buf_str(&kept), "job_1|", 6), 0);
    (void)snprintf(line, sizeof line, "%s", "Z info mine job=job_1 n=7 text=\"two words\"\n");
    assert_string_equal(strchr(buf_str(&kept), 'Z'), line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAPTURED(a_text_line_has_time_level_event_and_fields),
        CAPTURED(levels_beyond_the_chosen_one_are_silent),
        CAPTURED(values_are_quoted_where_they_need_it),
        CAPTURED(a_hostile_value_forges_neither_line_nor_field),
        CAPTURED(names_can_not_break_a_line),
        CAPTURED(a_json_line_is_one_object),
        CAPTURED(a_journal_line_has_a_priority_and_no_time),
        CAPTURED(auto_means_journal_where_stderr_leads_there),
        CAPTURED(secrets_are_masked_before_anything_changes_them),
        CAPTURED(long_values_are_cut_between_characters),
        CAPTURED(a_failed_write_harms_nothing),
        CAPTURED(threads_do_not_mix_their_lines),
        CAPTURED(a_tap_gets_the_lines_that_name_a_job_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
