#include "util/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mask.h"
#include "util/str.h"
#include "util/utf8.h"

enum { VALUE_MAX = 4096 }; /* longer values are cut: a line is for reading */

static const struct {
    const char *name;
    char priority; /* of syslog(3), as in sd-daemon(3) */
} levels[] = {
    [LOG_ERROR] = { "error", '3' },   [LOG_WARNING] = { "warning", '4' },
    [LOG_NOTICE] = { "notice", '5' }, [LOG_INFO] = { "info", '6' },
    [LOG_DEBUG] = { "debug", '7' },
};
_Static_assert(ARRAY_SIZE(levels) == LOG_LEVEL_COUNT, "a name for each level");

/* The one global of the program (house rule). The lock lets a reload change the mask while another
 * thread is writing a line. */
static struct {
    pthread_rwlock_t lock;
    enum log_level max_level;
    enum log_format format;
    const struct mask *mask;
    log_tap_fn tap;
    void *tap_ctx;
} setup = { .lock = PTHREAD_RWLOCK_INITIALIZER, .max_level = LOG_INFO, .format = LOG_FORMAT_TEXT };

/* systemd.exec(5): JOURNAL_STREAM is "DEVICE:INODE" of the stream to the journal. */
static bool is_journal(void)
{
    const char *named = getenv("JOURNAL_STREAM");
    struct stat st;
    char ours[64];

    if (named == NULL || fstat(STDERR_FILENO, &st) < 0)
        return false;
    (void)snprintf(ours, sizeof ours, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return str_eq(ours, named);
}

void log_setup(enum log_level max_level, enum log_format format, const struct mask *mask)
{
    if (format == LOG_FORMAT_AUTO)
        format = is_journal() ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
    (void)pthread_rwlock_wrlock(&setup.lock);
    __atomic_store_n(&setup.max_level, max_level, __ATOMIC_RELAXED);
    setup.format = format;
    setup.mask = mask;
    (void)pthread_rwlock_unlock(&setup.lock);
}

void log_set_tap(log_tap_fn fn, void *ctx)
{
    (void)pthread_rwlock_wrlock(&setup.lock);
    setup.tap = fn;
    setup.tap_ctx = ctx;
    (void)pthread_rwlock_unlock(&setup.lock);
}

bool log_is_on(enum log_level level)
{
    return level <= __atomic_load_n(&setup.max_level, __ATOMIC_RELAXED);
}

const char log_is_number[] = ""; /* its address is what counts */

const char *log_number(char buffer[24], long long n)
{
    (void)snprintf(buffer, 24, "%lld", n); /* 20 characters at most */
    return buffer;
}

/* Names are ours; this keeps it so that one can't break a line even by mistake. */
static void put_name(struct buf *line, const char *name)
{
    for (; *name != '\0'; name++) {
        bool is_good = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                       (*name >= '0' && *name <= '9') || strchr("_-./", *name) != NULL;

        buf_append_char(line, is_good ? *name : '_');
    }
}

static bool needs_quotes(const char *s)
{
    if (*s == '\0')
        return true;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f || strchr("\"\\=", *s) != NULL)
            return true;
    return false;
}

/* One character of a quoted value. Not printed as they are: controls of both sets, the line and
 * paragraph separators, and what changes the direction of the text around it. */
static size_t put_escaped(struct buf *line, const unsigned char *s)
{
    if (*s == '"' || *s == '\\') {
        buf_printf(line, "\\%c", *s);
    } else if (*s == '\n' || *s == '\r' || *s == '\t') {
        buf_append_str(line, *s == '\n' ? "\\n" : *s == '\r' ? "\\r" : "\\t");
    } else if (*s < ' ' || *s == 0x7f) {
        buf_printf(line, "\\u%04x", *s);
    } else if (s[0] == 0xc2 && s[1] < 0xa0) {
        buf_printf(line, "\\u%04x", s[1]);
        return 2;
    } else if (s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
                                (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9))) {
        buf_printf(line, "\\u%04x", 0x2000 | (s[1] & 0x3f) << 6 | (s[2] & 0x3f));
        return 3;
    } else {
        buf_append_char(line, (char)*s);
    }
    return 1;
}

/* text: well-formed UTF-8 */
static void put_quoted(struct buf *line, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    buf_append_char(line, '"');
    while (*s != '\0')
        s += put_escaped(line, s);
    buf_append_char(line, '"');
}

/* The value as it may be shown: masked while it is still whole, well-formed, and cut. */
static void present(struct buf *shown, const char *value)
{
    CLEANUP(buf_done) struct buf masked = { 0 };
    size_t len;

    buf_append_str(&masked, value);
    (void)mask_apply(setup.mask, &masked); /* how many there were is of no interest here */
    for (const char *s = buf_str(&masked); *s != '\0'; s += len) {
        len = utf8_prefix(s, strlen(s));
        buf_append(shown, s, len);
        if (s[len] != '\0') {
            buf_append_str(shown, "\xef\xbf\xbd");
            len++;
        }
    }
    if (shown->len > VALUE_MAX) {
        shown->len = utf8_cut(shown->data, shown->len, VALUE_MAX);
        buf_append_str(shown, "...");
    }
}

static void put_field(struct buf *line, enum log_format format, const char *key, const char *value,
                      bool is_number)
{
    CLEANUP(buf_done) struct buf shown = { 0 };

    present(&shown, value);
    if (format == LOG_FORMAT_JSON) {
        buf_append_str(line, ",\"");
        put_name(line, key);
        buf_append_str(line, "\":");
        if (is_number && str_eq(buf_str(&shown), value)) /* masked it is a text after all */
            buf_append_str(line, buf_str(&shown));
        else
            put_quoted(line, buf_str(&shown));
        return;
    }
    buf_append_char(line, ' ');
    put_name(line, key);
    buf_append_char(line, '=');
    if (needs_quotes(buf_str(&shown)))
        put_quoted(line, buf_str(&shown));
    else
        buf_append_str(line, buf_str(&shown));
}

struct log_head {
    enum log_format format;
    enum log_level level;
    int64_t wall_ms;
    const char *event;
};

static void put_head(struct buf *line, const struct log_head *head)
{
    const char *level = levels[head->level].name;
    char now[32];

    switch (head->format) {
    case LOG_FORMAT_JSON:
        buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"",
                   clock_rfc3339(now, head->wall_ms), level);
        put_name(line, head->event);
        buf_append_char(line, '"');
        return;
    case LOG_FORMAT_JOURNAL:
        buf_printf(line, "<%c>%s ", levels[head->level].priority, level);
        break;
    case LOG_FORMAT_AUTO:
    case LOG_FORMAT_TEXT:
        buf_printf(line, "%s %s ", clock_rfc3339(now, head->wall_ms), level);
        break;
    }
    put_name(line, head->event);
}

/* A whole line, without its newline. Returns the job that it names, or NULL. */
static const char *put_line(struct buf *line, const struct log_head *head, va_list ap)
{
    const char *key, *value, *job_id = NULL;
    bool is_number;

    put_head(line, head);
    while ((key = va_arg(ap, const char *)) != NULL) {
        value = va_arg(ap, const char *);
        is_number = value == log_is_number;
        if (is_number)
            value = va_arg(ap, const char *);
        if (value == NULL)
            continue;
        put_field(line, head->format, key, value, is_number);
        if (str_eq(key, "job"))
            job_id = value;
    }
    if (head->format == LOG_FORMAT_JSON)
        buf_append_char(line, '}');
    return job_id;
}

static void write_line(const struct buf *line)
{
    ssize_t n;

    do
        n = write(STDERR_FILENO, line->data, line->len);
    while (n < 0 && errno == EINTR); /* any other failure: there is nowhere to report it */
}

void log_event(enum log_level level, const char *event, ...)
{
    struct log_head head = { .level = level, .event = event };
    CLEANUP(buf_done) struct buf line = { 0 };
    CLEANUP(buf_done) struct buf text = { 0 };
    int saved_errno = errno;
    const char *job_id;
    va_list ap;

    if (!log_is_on(level))
        return;
    head.wall_ms = clock_wall_ms(); /* once, so that both lines tell the same */
    (void)pthread_rwlock_rdlock(&setup.lock);
    head.format = setup.format;
    va_start(ap, event);
    job_id = put_line(&line, &head, ap);
    va_end(ap);
    if (setup.tap && job_id) {
        head.format = LOG_FORMAT_TEXT;
        va_start(ap, event);
        (void)put_line(&text, &head, ap); /* it names the same job */
        va_end(ap);
        setup.tap(job_id, buf_str(&text), setup.tap_ctx);
    }
    (void)pthread_rwlock_unlock(&setup.lock);
    buf_append_str(&line, "\n");
    write_line(&line);
    errno = saved_errno;
}
