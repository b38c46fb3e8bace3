/* log.h - one line for each thing that happened, on stderr.
 * A line has a level, a stable event name ("poll_failed") and key=value fields; never a secret, a
 * token or a task's payload. Forms: text (RFC 3339 time, level, event, fields; values quoted where
 * they need it, control bytes escaped), json (one object a line), journal (as text without a time,
 * with the "<N>" priority prefix of sd-daemon(3)). auto picks journal where JOURNAL_STREAM names
 * our stderr, otherwise text. A failed write is never an error; SIGPIPE is main's to ignore. Values
 * are cut at 4096 bytes. Only main/ and adapters log. Thread-safe: one write(2) a line. */
#pragma once
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };

struct mask;

/* mask: applied to every value, may be NULL; borrowed until the next call. */
void log_setup(enum log_level max_level, enum log_format format, const struct mask *mask);
bool log_is_on(enum log_level level);
/* Gets each written line that names a job (has a field "job"), in the form text, masked, without
 * the newline; in the thread that logs. Must not log. */
typedef void (*log_tap_fn)(const char *job_id, const char *line, void *ctx);
/* fn NULL: none, as at the start. Before other threads log, and after they have ended. */
void log_set_tap(log_tap_fn fn, void *ctx);
/* Fields: key, value, key, value, ..., (char *)NULL; a pair whose value is NULL is left out. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

#define log_error(...)   log_event(LOG_ERROR, __VA_ARGS__, (char *)NULL)
#define log_warning(...) log_event(LOG_WARNING, __VA_ARGS__, (char *)NULL)
#define log_notice(...)  log_event(LOG_NOTICE, __VA_ARGS__, (char *)NULL)
#define log_info(...)    log_event(LOG_INFO, __VA_ARGS__, (char *)NULL)
#define log_debug(...)   log_event(LOG_DEBUG, __VA_ARGS__, (char *)NULL)
/* A number as a field's value, which is one in the form json, too: log_info("started", "pid",
 * LOG_N(pid)). LOG_N_IF leaves the pair out where there is no such number. */
#define LOG_N(n)         LOG_N_IF(true, n)
#define LOG_N_IF(is, n)                                                                            \
    log_is_number, ((is) ? log_number((char[24]){ 0 }, (long long)(n)) : (const char *)NULL)
/* For LOG_N() alone. Returns buffer. */
const char *log_number(char buffer[24], long long n);
extern const char log_is_number[]; /* says that what follows is from log_number() */
