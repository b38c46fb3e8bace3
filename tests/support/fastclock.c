/* fastclock.c - a clock that runs faster: an LD_PRELOAD library for tests of what a program does
 * after a time of its own. $FASTCLOCK says how many times as fast CLOCK_MONOTONIC goes for it; what
 * its loop waits for takes as much less. The world outside goes on as always, so this is for
 * programs that wait for nobody else meanwhile. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

enum { NS = 1000 * 1000 * 1000 };

static long times = 1;
static long long begun_ns;

static int real_clock(clockid_t clock, struct timespec *at)
{
    int (*next)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");

    return next(clock, at);
}

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("FASTCLOCK");
    struct timespec at;

    if (text && real_clock(CLOCK_MONOTONIC, &at) == 0) {
        begun_ns = (long long)at.tv_sec * NS + at.tv_nsec;
        times = strtol(text, NULL, 10);
    }
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int r = real_clock(clock, at);

    if (r == 0 && clock == CLOCK_MONOTONIC && times > 1) {
        long long now_ns = (long long)at->tv_sec * NS + at->tv_nsec;

        now_ns = begun_ns + (now_ns - begun_ns) * times;
        at->tv_sec = (time_t)(now_ns / NS);
        at->tv_nsec = (long)(now_ns % NS);
    }
    return r;
}

static int shorter(int timeout_ms)
{
    return timeout_ms > 0 ? (int)((timeout_ms + times - 1) / times) : timeout_ms;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
    int (*next)(int, struct epoll_event *, int, int) =
        (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");

    return next(fd, events, most, shorter(timeout_ms));
}
