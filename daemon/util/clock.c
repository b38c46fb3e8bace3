#include "util/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z: what four digits of year can say. */
static const int64_t wall_min_ms = -62167219200000, wall_max_ms = 253402300799999;

uint64_t clock_mono_ms(void)
{
    struct timespec t = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* can't fail for this clock */
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    struct timespec t = { 0 };

    (void)clock_gettime(CLOCK_REALTIME, &t); /* can't fail for this clock */
    return (int64_t)t.tv_sec * 1000 + (int64_t)t.tv_nsec / 1000000;
}

const char *clock_rfc3339(char buffer[32], int64_t wall_ms)
{
    struct tm tm = { 0 };
    time_t s;
    unsigned ms;

    if (wall_ms < wall_min_ms)
        wall_ms = wall_min_ms;
    if (wall_ms > wall_max_ms)
        wall_ms = wall_max_ms;
    s = (time_t)(wall_ms / 1000);
    if (wall_ms % 1000 < 0)
        s--;
    ms = (unsigned)(wall_ms - (int64_t)s * 1000);
    (void)gmtime_r(&s, &tm); /* fails for years past an int only */
    (void)snprintf(buffer, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                   (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
                   (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                   (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, ms % 1000);
    return buffer;
}

/* Exactly count digits at *s, which moves past them; -1 if they aren't there. */
static int digits(const char **s, int count)
{
    int n = 0;

    for (int i = 0; i < count; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return -1;
        n = n * 10 + (**s - '0');
    }
    return n;
}

static bool skip(const char **s, char upper, char lower)
{
    if (**s != upper && **s != lower)
        return false;
    (*s)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && is_leap);
}

static int parse_date(const char **s, struct tm *ret_tm)
{
    int year, month, day;

    if ((year = digits(s, 4)) < 0 || !skip(s, '-', '-') || (month = digits(s, 2)) < 1 ||
        month > 12 || !skip(s, '-', '-') || (day = digits(s, 2)) < 1 ||
        day > days_in_month(year, month))
        return -EINVAL;
    ret_tm->tm_year = year - 1900;
    ret_tm->tm_mon = month - 1;
    ret_tm->tm_mday = day;
    return 0;
}

/* 60 is a leap second (RFC 3339 s5.6); it counts as the first of the next minute. */
static int parse_time(const char **s, struct tm *ret_tm, int *ret_ms)
{
    int hour, minute, second, ms = 0;

    if ((hour = digits(s, 2)) < 0 || hour > 23 || !skip(s, ':', ':') ||
        (minute = digits(s, 2)) < 0 || minute > 59 || !skip(s, ':', ':') ||
        (second = digits(s, 2)) < 0 || second > 60)
        return -EINVAL;
    if (skip(s, '.', '.')) {
        int weight = 100, count = 0;

        for (; **s >= '0' && **s <= '9'; (*s)++, count++, weight /= 10)
            ms += weight * (**s - '0');
        if (count == 0)
            return -EINVAL;
    }
    ret_tm->tm_hour = hour;
    ret_tm->tm_min = minute;
    ret_tm->tm_sec = second;
    *ret_ms = ms;
    return 0;
}

static int parse_offset(const char **s, int *ret_minutes)
{
    int sign, hours, minutes;

    if (skip(s, 'Z', 'z')) {
        *ret_minutes = 0;
        return 0;
    }
    sign = **s == '-' ? -1 : 1;
    if (!skip(s, '+', '-') || (hours = digits(s, 2)) < 0 || hours > 23 || !skip(s, ':', ':') ||
        (minutes = digits(s, 2)) < 0 || minutes > 59)
        return -EINVAL;
    *ret_minutes = sign * (hours * 60 + minutes);
    return 0;
}

int clock_parse_rfc3339(const char *s, int64_t *ret_wall_ms)
{
    struct tm tm = { 0 };
    int ms = 0, offset_minutes = 0;

    if (s == NULL || parse_date(&s, &tm) < 0 || !skip(&s, 'T', 't') ||
        parse_time(&s, &tm, &ms) < 0 || parse_offset(&s, &offset_minutes) < 0 || *s != '\0')
        return -EINVAL;
    *ret_wall_ms = ((int64_t)timegm(&tm) - (int64_t)offset_minutes * 60) * 1000 + ms;
    return 0;
}

const char *clock_span(char buffer[32], uint64_t span_ms)
{
    static const struct {
        uint64_t ms;
        const char *name;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };
    size_t i = 0;
    uint64_t rest;
    int n;

    while (i < sizeof units / sizeof units[0] && span_ms < units[i].ms)
        i++;
    if (i == sizeof units / sizeof units[0]) {
        (void)snprintf(buffer, 32, "%" PRIu64 "ms", span_ms); /* 20 digits at most */
        return buffer;
    }
    n = snprintf(buffer, 32, "%" PRIu64 "%s", span_ms / units[i].ms, units[i].name);
    rest = span_ms % units[i].ms;
    if (++i < sizeof units / sizeof units[0] && rest >= units[i].ms)
        (void)snprintf(buffer + n, 32 - (size_t)n, "%" PRIu64 "%s", rest / units[i].ms,
                       units[i].name);
    return buffer;
}
