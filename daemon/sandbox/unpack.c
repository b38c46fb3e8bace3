#include "sandbox/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "task/crate.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"
#include "util/utf8.h"

enum { NAME_MAX_SHOWN = 100, BLOCK_BYTES = CRATE_PIECE_MAX };

struct unpacking {
    const void *bytes;
    size_t len;
    unpack_fn fn;
    void *ctx;
    struct strv names;  /* of the files that are taken, as the archive has them */
    size_t strip;       /* bytes of each that are left off */
    uint64_t out_bytes; /* so far */
};

static struct archive *open_archive(const struct unpacking *u, struct err *err)
{
    struct archive *a = archive_read_new();

    if (!a)
        mem_die();
    if (archive_read_support_filter_none(a) != ARCHIVE_OK ||
        archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_open_memory(a, u->bytes, u->len) != ARCHIVE_OK) {
        (void)err_set(err, -EBADMSG, "it is no zip archive");
        (void)archive_read_free(a); /* the first failure is the one to tell */
        return NULL;
    }
    return a;
}

static void close_archive(struct archive **a)
{
    if (*a)
        (void)archive_read_free(*a); /* of memory only */
}

/* ---- names ---- */

static bool is_part(const char *name, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(name, word, len) == 0;
}

static bool is_skipped(const char *name)
{
    for (;;) {
        size_t len = strcspn(name, "/");

        if (is_part(name, len, "__MACOSX") || is_part(name, len, ".DS_Store"))
            return true;
        if (name[len] == '\0')
            return false;
        name += len + 1;
    }
}

/* "./x" is x, which some programs write. */
static const char *name_of(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);

    while (name && name[0] == '.' && name[1] == '/')
        name += 2;
    return name;
}

static int refuse(struct err *err, const char *name, const char *why)
{
    char line[NAME_MAX_SHOWN];

    return err_set(err, -EBADMSG, "'%s': %s", utf8_line(line, sizeof line, name ? name : "?"), why);
}

/* A directory's name ends with a slash. It says nothing but that no archive of ours has it so. */
static int check_directory(const char *name, struct err *err)
{
    size_t len = strlen(name);
    const char *why;

    while (len > 0 && name[len - 1] == '/')
        len--;
    if (len == 0 && name[0] != '/')
        return 0; /* "./" */
    why = crate_refusal(name, len);
    return why ? refuse(err, name, why) : 0;
}

/* The methods that everybody's zip has. Others' decoders take memory as the archive tells them. */
static bool is_usual(struct archive *a)
{
    const char *name = archive_format_name(a); /* "ZIP 2.0 (deflation)" */

    return name && (strstr(name, "(uncompressed)") || strstr(name, "(deflation)"));
}

/* 1 where it is a file to be taken, 0 where nothing is. */
static int check_entry(struct archive *a, struct archive_entry *entry, struct err *err)
{
    const char *name = name_of(entry), *why;
    mode_t type = archive_entry_filetype(entry);

    if (!name)
        return err_set(err, -EBADMSG, "a name in it can't be read");
    if (archive_entry_is_encrypted(entry))
        return refuse(err, name, "it is encrypted");
    if (archive_entry_hardlink(entry) || archive_entry_symlink(entry) || type == S_IFLNK)
        return refuse(err, name, "it is a link");
    if (type == S_IFDIR)
        return check_directory(name, err);
    if (type != S_IFREG)
        return refuse(err, name, "it is neither a file nor a directory");
    why = crate_refusal(name, strlen(name));
    if (!why && !is_usual(a))
        why = "it is compressed by another method than deflate";
    if (why)
        return refuse(err, name, why);
    return is_skipped(name) ? 0 : 1;
}

static int next_entry(struct archive *a, struct archive_entry **ret_entry, struct err *err)
{
    int r = archive_read_next_header(a, ret_entry);
    char line[NAME_MAX_SHOWN];

    if (r == ARCHIVE_EOF)
        return 0;
    if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
        return err_set(
            err, -EBADMSG, "it is damaged: %s",
            utf8_line(line, sizeof line,
                      archive_error_string(a) ? archive_error_string(a) : "no zip archive"));
    return 1;
}

static int list_names(struct unpacking *u, struct err *err)
{
    CLEANUP(close_archive) struct archive *a = open_archive(u, err);
    struct archive_entry *entry;
    size_t entries = 0;
    int r;

    if (!a)
        return -EBADMSG;
    while ((r = next_entry(a, &entry, err)) > 0) {
        if (++entries > UNPACK_ENTRIES_MAX)
            return err_set(err, -EBADMSG, "it has more than %d entries", UNPACK_ENTRIES_MAX);
        r = check_entry(a, entry, err);
        if (r < 0)
            return r;
        if (r > 0)
            strv_add(&u->names, name_of(entry));
        if (u->names.len > CRATE_FILES_MAX)
            return err_set(err, -EBADMSG, "it has more than %d files", CRATE_FILES_MAX);
    }
    if (r == 0 && u->names.len == 0)
        return err_set(err, -EBADMSG, "there are no files in it");
    return r;
}

/* A folder that all lie in. */
static size_t common_root(const struct strv *names)
{
    size_t len = strcspn(names->items[0], "/");

    if (names->items[0][len] == '\0')
        return 0;
    for (size_t i = 1; i < names->len; i++)
        if (strncmp(names->items[i], names->items[0], len + 1) != 0)
            return 0;
    return len + 1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Twice the same file, or a file that is another's folder: what then counts would be chance. */
static int check_distinct(const struct strv *names, struct err *err)
{
    CLEANUP(strv_done) struct strv sorted = { 0 };

    strv_copy(&sorted, names);
    qsort(sorted.items, sorted.len, sizeof sorted.items[0], by_text);
    for (size_t i = 1; i < sorted.len; i++)
        if (str_eq(sorted.items[i - 1], sorted.items[i]))
            return refuse(err, sorted.items[i], "it is there twice");
    for (size_t i = 0; i < sorted.len; i++) {
        const char *name = sorted.items[i];

        for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
            AUTO_FREE char *above = mem_strndup(name, (size_t)(slash - name));

            if (bsearch(&above, sorted.items, sorted.len, sizeof sorted.items[0], by_text))
                return refuse(err, name, "it lies in what is a file");
        }
    }
    return 0;
}

/* ---- contents ---- */

static int emit(const struct unpacking *u, struct buf *b)
{
    int r = u->fn(b->data, b->len, u->ctx);

    buf_clear(b);
    return r;
}

static int check_bytes(const struct unpacking *u, struct err *err)
{
    if (u->out_bytes > CRATE_BYTES_MAX)
        return err_set(err, -EBADMSG, "its files are larger than %d MiB together",
                       CRATE_BYTES_MAX >> 20);
    if (u->out_bytes > UNPACK_FREE_BYTES &&
        (u->out_bytes - UNPACK_FREE_BYTES) / UNPACK_RATIO_MAX > u->len)
        return err_set(err, -EBADMSG, "its files are more than %d times as large as it is",
                       UNPACK_RATIO_MAX);
    return 0;
}

static int copy_contents(struct unpacking *u, struct archive *a, struct buf *b, struct err *err)
{
    AUTO_FREE char *block = mem_alloc(BLOCK_BYTES);
    char line[NAME_MAX_SHOWN];
    ssize_t n;
    int r;

    while ((n = archive_read_data(a, block, BLOCK_BYTES)) > 0) {
        u->out_bytes += (uint64_t)n;
        r = check_bytes(u, err);
        if (r < 0)
            return r;
        crate_put_piece(b, block, (size_t)n);
        r = emit(u, b);
        if (r < 0)
            return r;
    }
    if (n < 0)
        return err_set(err, -EBADMSG, "it is damaged: %s",
                       utf8_line(line, sizeof line,
                                 archive_error_string(a) ? archive_error_string(a) : "a file"));
    return 0;
}

static int copy_files(struct unpacking *u, struct buf *b, struct err *err)
{
    CLEANUP(close_archive) struct archive *a = open_archive(u, err);
    struct archive_entry *entry;
    size_t files = 0;
    int r;

    if (!a)
        return -EBADMSG;
    while ((r = next_entry(a, &entry, err)) > 0) {
        r = check_entry(a, entry, err);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        /* the same bytes say the same twice, or it is the library that can't be believed */
        if (files >= u->names.len || !str_eq(name_of(entry), u->names.items[files++]))
            return err_set(err, -EBADMSG, "it is damaged: its list of files is two");
        crate_put_file(b, name_of(entry) + u->strip, archive_entry_mode(entry) & S_IXUSR);
        r = copy_contents(u, a, b, err);
        if (r < 0)
            return r;
    }
    return r;
}

static int unpack(struct unpacking *u, struct buf *b, struct err *err)
{
    int r = u->len > UNPACK_ARCHIVE_MAX
                ? err_set(err, -EMSGSIZE, "it is larger than %d MiB", UNPACK_ARCHIVE_MAX >> 20)
                : list_names(u, err);

    if (r == 0)
        r = check_distinct(&u->names, err);
    if (r < 0)
        return r;
    u->strip = common_root(&u->names);
    return copy_files(u, b, err);
}

struct told {
    unpack_fn fn;
    void *ctx;
    int result; /* of fn */
};

static int tell(const void *bytes, size_t len, void *ctx)
{
    struct told *t = ctx;

    if (len > 0 && t->result == 0)
        t->result = t->fn(bytes, len, t->ctx);
    return t->result;
}

int unpack_archive(const void *bytes, size_t len, unpack_fn fn, void *ctx)
{
    struct told told = { .fn = fn, .ctx = ctx };
    struct unpacking u = { .bytes = bytes, .len = len, .fn = tell, .ctx = &told };
    CLEANUP(buf_done) struct buf b = { 0 };
    struct err err = { 0 };

    if (unpack(&u, &b, &err) == 0)
        crate_put_end(&b);
    else if (told.result == 0) {
        buf_clear(&b);
        crate_put_refusal(&b, err.text);
    }
    strv_done(&u.names);
    return tell(b.data, b.len, &told);
}

/* ---- the process ---- */

static int write_out(const void *bytes, size_t len, void *ctx)
{
    (void)ctx;
    return fd_write_all(STDOUT_FILENO, bytes, len);
}

_Noreturn void unpack_run(void)
{
    const struct rlimit cpu = { .rlim_cur = UNPACK_CPU_S, .rlim_max = UNPACK_CPU_S };
    AUTO_FREE char *bytes = NULL;
    ssize_t len;

    (void)setrlimit(RLIMIT_CPU, &cpu); /* the caller's patience is the other bound */
    bytes = mem_alloc(UNPACK_ARCHIVE_MAX + (size_t)1);
    len = fd_read_all(STDIN_FILENO, bytes, UNPACK_ARCHIVE_MAX + (size_t)1);
    _exit(len < 0 || unpack_archive(bytes, (size_t)len, write_out, NULL) < 0 ? 1 : 0);
}
