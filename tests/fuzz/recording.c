#include "fuzz/recording.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/engineio.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/hostname.h"
#include "util/json.h"
#include "util/mask.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/utf8.h"

enum { FILE_MAX_BYTES = 1 << 20, LOG_MAX_BYTES = 1 << 14 };

static struct {
    char *bytes; /* NULL: nothing is noted */
    uint64_t size;
    ssize_t (*recv)(int fd, void *bytes, size_t size, int flags);
    ssize_t (*send)(int fd, const void *bytes, size_t len, int flags);
} recording;

/* Before main: the daemon confines itself soon. */
__attribute__((constructor)) static void open_recording(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "recording");
    char *slash;
    struct stat st;
    int fd;

    recording.recv = (ssize_t(*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
    recording.send = (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
    if (n <= 0)
        return;
    path[n] = '\0';
    slash = strrchr(path, '/');
    strcpy(slash + 1, "recording");
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        recording.bytes = map == MAP_FAILED ? NULL : map;
        recording.size = (uint64_t)st.st_size;
    }
    (void)close(fd);
}

void recording_put(const char *name, uint64_t key, const void *bytes, size_t len)
{
    struct recording_note note = { .len = (uint32_t)len, .pid = (uint32_t)getpid(), .key = key };
    uint64_t size = (sizeof note + len + 7) & ~UINT64_C(7), at;

    if (!recording.bytes || len > FILE_MAX_BYTES)
        return;
    at = atomic_fetch_add((_Atomic uint64_t *)(void *)recording.bytes, size);
    if (at + size > recording.size)
        return; /* full: fuzz/record says so */
    (void)snprintf(note.name, sizeof note.name, "%s", name);
    if (len > 0)
        memcpy(recording.bytes + at + sizeof note, bytes, len);
    memcpy(recording.bytes + at, &note, sizeof note);
}

void recording_text(const char *name, const char *text)
{
    if (text)
        recording_put(name, 0, text, strlen(text));
}

void recording_file(const char *name, const char *path)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    if (recording.bytes && fd_read_file(path, FILE_MAX_BYTES, &b, NULL) == 0)
        recording_put(name, 0, b.data, b.len);
}

void recording_number(struct buf *b, uint64_t n, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buf_append_char(b, (char)(n >> (8 * i)));
}

void recording_field(struct buf *b, const char *text, char end)
{
    if (text)
        buf_append(b, text, strcspn(text, (char[2]){ end }));
    buf_append_char(b, end);
}

/* ---- in front of libc's, for libcurl and libmicrohttpd, too ---- */

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    ssize_t n = recording.recv(fd, bytes, size, flags);
    int error = errno;

    if (n > 0 && !(flags & MSG_PEEK))
        recording_put("recv", (uint64_t)fd, bytes, (size_t)n);
    errno = error;
    return n;
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    ssize_t n = recording.send(fd, bytes, len, flags);
    int error = errno;

    if (n > 0)
        recording_put("send", (uint64_t)fd, bytes, (size_t)n);
    errno = error;
    return n;
}

/* ---- around those of util/ ---- */

int __real_json_parse(const char *s, size_t len, struct json **ret_root, struct err *err);
int __wrap_json_parse(const char *s, size_t len, struct json **ret_root, struct err *err);
int __real_engineio_next(const char *body, size_t len, struct engineio_cursor *cursor,
                         struct engineio_packet *ret_packet, struct err *err);
int __wrap_engineio_next(const char *body, size_t len, struct engineio_cursor *cursor,
                         struct engineio_packet *ret_packet, struct err *err);
int __real_engineio_parse_refusal(const char *body, size_t len);
int __wrap_engineio_parse_refusal(const char *body, size_t len);
int __real_hostname_parse(const char *text, size_t len, struct hostname *ret_host,
                          const char **ret_why);
int __wrap_hostname_parse(const char *text, size_t len, struct hostname *ret_host,
                          const char **ret_why);
int __real_mask_add(struct mask *m, const char *value, size_t len);
int __wrap_mask_add(struct mask *m, const char *value, size_t len);
size_t __real_mask_apply(const struct mask *m, struct buf *b);
size_t __wrap_mask_apply(const struct mask *m, struct buf *b);
int __real_secret_load(const char *path, struct secret **ret_secret, struct err *err);
int __wrap_secret_load(const char *path, struct secret **ret_secret, struct err *err);
int __real_str_to_u64(const char *s, uint64_t max, uint64_t *ret_n);
int __wrap_str_to_u64(const char *s, uint64_t max, uint64_t *ret_n);
void __real_utf8_clean(struct buf *b, const char *s, size_t len);
void __wrap_utf8_clean(struct buf *b, const char *s, size_t len);
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);

int __wrap_json_parse(const char *s, size_t len, struct json **ret_root, struct err *err)
{
    recording_put("json", 0, s, len);
    return __real_json_parse(s, len, ret_root, err);
}

/* A body is noted once, with its first packet. */
int __wrap_engineio_next(const char *body, size_t len, struct engineio_cursor *cursor,
                         struct engineio_packet *ret_packet, struct err *err)
{
    if (cursor->at == 0)
        recording_put("engineio", 0, body, len);
    return __real_engineio_next(body, len, cursor, ret_packet, err);
}

int __wrap_engineio_parse_refusal(const char *body, size_t len)
{
    recording_put("engineio", 0, body, len);
    return __real_engineio_parse_refusal(body, len);
}

int __wrap_hostname_parse(const char *text, size_t len, struct hostname *ret_host,
                          const char **ret_why)
{
    recording_put("allow", 0, text, len);
    return __real_hostname_parse(text, len, ret_host, ret_why);
}

int __wrap_mask_add(struct mask *m, const char *value, size_t len)
{
    recording_put("secret", (uint64_t)(uintptr_t)m, value, len);
    return __real_mask_add(m, value, len);
}

size_t __wrap_mask_apply(const struct mask *m, struct buf *b)
{
    recording_put("masked", (uint64_t)(uintptr_t)m, b->data, b->len);
    return __real_mask_apply(m, b);
}

int __wrap_secret_load(const char *path, struct secret **ret_secret, struct err *err)
{
    recording_file("agentkey", path);
    return __real_secret_load(path, ret_secret, err);
}

int __wrap_str_to_u64(const char *s, uint64_t max, uint64_t *ret_n)
{
    recording_text("number", s);
    return __real_str_to_u64(s, max, ret_n);
}

void __wrap_utf8_clean(struct buf *b, const char *s, size_t len)
{
    recording_put("utf8", 0, s, len);
    __real_utf8_clean(b, s, len);
}

/* A line of the log is one write. */
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    if (fd == STDERR_FILENO && len <= LOG_MAX_BYTES)
        recording_put("log", 0, bytes, len);
    return __real_write(fd, bytes, len);
}
