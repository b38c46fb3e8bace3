#include "net/http_date.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "util/cleanup.h"

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char *const days[] = { "Mon",      "Tue",    "Wed",      "Thu",     "Fri",
                                    "Sat",      "Sun",    "Monday",   "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday", "Sunday" };
enum { SHORT_DAYS = 7 };

struct fields {
    int year, month, day, hour, minute, second; /* month from 0 */
};

/* The take_ functions move *s behind what they matched and say whether they did. */
static bool take(const char **s, const char *literal)
{
    size_t len = strlen(literal);

    if (strncmp(*s, literal, len) != 0)
        return false;
    *s += len;
    return true;
}

static bool take_digits(const char **s, int count, int *ret_n)
{
    int n = 0;

    for (int i = 0; i < count; i++) {
        char c = (*s)[i];

        if (c < '0' || c > '9')
            return false;
        n = n * 10 + (c - '0');
    }
    *s += count;
    *ret_n = n;
    return true;
}

static bool take_month(const char **s, int *ret_month)
{
    for (size_t i = 0; i < ARRAY_SIZE(months); i++)
        if (take(s, months[i])) {
            *ret_month = (int)i;
            return true;
        }
    return false;
}

static bool take_day_name(const char **s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (take(s, days[i]))
            return true;
    return false;
}

static bool take_time(const char **s, struct fields *f)
{
    return take_digits(s, 2, &f->hour) && take(s, ":") && take_digits(s, 2, &f->minute) &&
           take(s, ":") && take_digits(s, 2, &f->second);
}

static bool take_imf(const char *s, struct fields *f)
{
    return take_day_name(&s, 0, SHORT_DAYS) && take(&s, ", ") && take_digits(&s, 2, &f->day) &&
           take(&s, " ") && take_month(&s, &f->month) && take(&s, " ") &&
           take_digits(&s, 4, &f->year) && take(&s, " ") && take_time(&s, f) && take(&s, " GMT") &&
           *s == '\0';
}

static bool take_rfc850(const char *s, struct fields *f)
{
    return take_day_name(&s, SHORT_DAYS, ARRAY_SIZE(days)) && take(&s, ", ") &&
           take_digits(&s, 2, &f->day) && take(&s, "-") && take_month(&s, &f->month) &&
           take(&s, "-") && take_digits(&s, 2, &f->year) && take(&s, " ") && take_time(&s, f) &&
           take(&s, " GMT") && *s == '\0';
}

static bool take_asctime(const char *s, struct fields *f)
{
    bool ok = take_day_name(&s, 0, SHORT_DAYS) && take(&s, " ") && take_month(&s, &f->month) &&
              take(&s, " ");

    if (!ok)
        return false;
    ok = take(&s, " ") ? take_digits(&s, 1, &f->day) : take_digits(&s, 2, &f->day);
    return ok && take(&s, " ") && take_time(&s, f) && take(&s, " ") &&
           take_digits(&s, 4, &f->year) && *s == '\0';
}

/* Days since the epoch of a date in the Gregorian calendar (years counted from March, so that the
 * leap day comes last). */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t y = month < 2 ? year - 1 : year;
    int64_t era = y / 400; /* y is never negative here */
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = (month + 10) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static int64_t wall_ms(const struct fields *f)
{
    int64_t s = days_from_civil(f->year, f->month, f->day) * 86400 + f->hour * 3600 +
                f->minute * 60 + f->second;

    return s * 1000;
}

int http_date_parse(const char *s, int64_t now_wall_ms, int64_t *ret_wall_ms)
{
    static const int64_t fifty_years_ms = (int64_t)50 * 36525 * 864000; /* of 365.25 days */
    struct fields f = { 0 };
    int64_t ms;
    bool two_digits = false;

    if (!take_imf(s, &f) && !take_asctime(s, &f)) {
        if (!take_rfc850(s, &f))
            return -EINVAL;
        two_digits = true;
        f.year += 2000;
    }
    if (f.day < 1 || f.day > 31 || f.hour > 23 || f.minute > 59 || f.second > 60 || f.year < 1)
        return -EINVAL;
    ms = wall_ms(&f);
    if (two_digits && ms > now_wall_ms + fifty_years_ms) {
        f.year -= 100;
        ms = wall_ms(&f);
    }
    *ret_wall_ms = ms;
    return 0;
}
