#include "hub/skillzip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "settings/document.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum { BLOCK_BYTES = 64 << 10, SHOWN_MAX = 100 };

#define PAGE "SKILL.md"

void skillzip_done(struct skillzip *s)
{
    free(s->description);
    s->description = NULL;
}

/* ---- the page ---- */

/* What is between the two lines of "---": 1, or 0 if there is no such thing. */
static int find_matter(const char *page, size_t len, const char **ret_start, size_t *ret_len)
{
    static const char bom[] = "\xef\xbb\xbf";
    const char *end = page + len, *line, *start = NULL;

    if (len >= 3 && memcmp(page, bom, 3) == 0)
        page += 3;
    for (line = page; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline ? newline + 1 : end;
        size_t size = (size_t)((newline ? newline : end) - line);

        while (size > 0 && (line[size - 1] == '\r' || line[size - 1] == ' '))
            size--;
        if (size == 3 && memcmp(line, "---", 3) == 0) {
            if (start) {
                *ret_start = start;
                *ret_len = (size_t)(line - start);
                return 1;
            }
            start = next;
        } else if (!start) {
            return 0;
        }
        line = next;
    }
    return 0;
}

static const struct document_node *member(const struct document_node *root, const char *key)
{
    for (const struct document_node *n = root->first; n; n = n->next)
        if (str_eq(n->key, key))
            return n->type == DOCUMENT_TEXT && !document_is_nothing(n) ? n : NULL;
    return NULL;
}

static int take_name(const char *name, struct skillzip *s, struct err *err)
{
    size_t len = strlen(name);

    if (len < 1 || len > SKILLZIP_NAME_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return err_set(err, -EBADMSG,
                       "the name in the front matter of " PAGE " must have 1 to %d characters of "
                       "a-z, 0-9 and -",
                       SKILLZIP_NAME_MAX);
    memcpy(s->name, name, len + 1);
    return 0;
}

static int take_description(const char *text, struct skillzip *s, struct err *err)
{
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' ')) /* of a block */
        len--;
    if (len < 1 || len > SKILLZIP_DESCRIPTION_MAX)
        return err_set(err, -EBADMSG,
                       "the description in the front matter of " PAGE " must have 1 to %d bytes",
                       SKILLZIP_DESCRIPTION_MAX);
    s->description = mem_strndup(text, len);
    return 0;
}

int skillzip_read_page(const char *page, size_t len, struct skillzip *ret_skill, struct err *err)
{
    CLEANUP_PTR(document_free) struct document_node *root = NULL;
    const struct document_node *name, *description;
    struct skillzip s = { 0 };
    const char *matter = NULL;
    size_t matter_len = 0;
    struct err words = { 0 };
    int rc;

    if (!find_matter(page, len, &matter, &matter_len))
        return err_set(err, -EBADMSG,
                       PAGE " must begin with front matter: a line '---', name and description, "
                            "another line '---'");
    rc = document_parse(PAGE, matter, matter_len, &root, &words);
    if (rc < 0) /* without memory it is not the page that is bad */
        return err_set(err, rc == -ENOMEM ? rc : -EBADMSG, "%s", words.text);
    name = root && root->type == DOCUMENT_MAP ? member(root, "name") : NULL;
    description = root && root->type == DOCUMENT_MAP ? member(root, "description") : NULL;
    if (!name || !description)
        return err_set(err, -EBADMSG, "the front matter of " PAGE " must have %s",
                       name ? "a description" : "a name and a description");
    rc = take_name(name->text, &s, err);
    if (rc >= 0)
        rc = take_description(description->text, &s, err);
    if (rc < 0)
        return rc;
    *ret_skill = s;
    return 0;
}

/* ---- the archive ---- */

struct reading {
    struct archive *archive;
    struct buf page;
    unsigned depth;    /* of the page that was found: 1 at the top, 2 in a folder, 0 none */
    uint64_t contents; /* bytes unpacked so far */
    unsigned files;
    struct err *err;
};

static int refuse(const struct reading *r, const char *name, const char *why)
{
    char line[SHOWN_MAX];

    return err_set(r->err, -EBADMSG, "'%s' in the archive %s", utf8_line(line, sizeof line, name),
                   why);
}

static int damaged(const struct reading *r)
{
    const char *words = archive_error_string(r->archive);
    int error = archive_errno(r->archive);
    char line[SHOWN_MAX];

    /* EILSEQ is libarchive's word for a format, EINVAL for what can't be asked; the rest are the
     * machine's */
    if (error > 0 && error != EILSEQ && error != EINVAL)
        return err_set(r->err, -error, "read the archive: %s", strerror(error));
    return err_set(r->err, -EBADMSG, "the archive is no zip, or damaged: %s",
                   utf8_line(line, sizeof line, words ? words : "its end is missing"));
}

/* NULL, or what is wrong with the name. *ret_depth: of how many parts it is. */
static const char *check_name(const char *name, unsigned *ret_depth)
{
    unsigned depth = 0;

    if (name[0] == '\0' || name[0] == '/' || strchr(name, '\\'))
        return "has no relative name";
    if (!utf8_is_valid(name, strlen(name)))
        return "has a name that isn't UTF-8";
    for (const char *s = name; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return "has control characters in its name";
    for (const char *part = name; *part; depth++) {
        size_t len = strcspn(part, "/");

        if (len == 2 && memcmp(part, "..", 2) == 0)
            return "leads out of its folder";
        if (len == 0 || (len == 1 && part[0] == '.'))
            return "has an empty part or a '.' in its name";
        if (len > SKILLZIP_PART_MAX)
            return "has too long a name";
        part += len + (part[len] == '/');
    }
    *ret_depth = depth;
    return strlen(name) > SKILLZIP_PATH_MAX ? "has too long a name"
           : depth > SKILLZIP_DEPTH_MAX     ? "lies too deep"
                                            : NULL;
}

/* The methods that everybody's zip has. Others' decoders take memory as the archive tells them. */
static bool is_usual(struct archive *a)
{
    const char *name = archive_format_name(a); /* "ZIP 2.0 (deflation)" */

    return name && (strstr(name, "(uncompressed)") || strstr(name, "(deflation)"));
}

/* Reads the entry's data, into b where it is wanted. */
static int read_data(struct reading *r, const char *name, struct buf *b)
{
    char *block = mem_alloc(BLOCK_BYTES);
    la_ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = archive_read_data(r->archive, block, BLOCK_BYTES)) != 0) {
        if (n < 0) {
            rc = damaged(r);
            break;
        }
        r->contents += (uint64_t)n;
        if (r->contents > SKILLZIP_CONTENTS_MAX)
            rc = err_set(r->err, -EBADMSG, "the archive holds more than %d bytes unpacked",
                         SKILLZIP_CONTENTS_MAX);
        else if (b && b->len + (size_t)n > SKILLZIP_PAGE_MAX)
            rc = refuse(r, name, "is longer than the 256 KiB it may have");
        else if (b)
            buf_append(b, block, (size_t)n);
    }
    free(block);
    return rc;
}

static bool is_page(const char *name, unsigned depth)
{
    const char *last = strrchr(name, '/');

    return depth <= 2 && str_eq(last ? last + 1 : name, PAGE) && !str_starts_with(name, "__MACOSX");
}

static int look_at(struct reading *r, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    unsigned depth = 0;
    const char *why;

    if (!name)
        return err_set(r->err, -EBADMSG, "a name in the archive can't be read");
    while (name[0] == '.' && name[1] == '/') /* as some programs write */
        name += 2;
    if (name[0] == '\0')
        return 0; /* "./" itself */
    why = check_name(name, &depth);
    if (why)
        return refuse(r, name, why);
    if (archive_entry_is_encrypted(entry))
        return refuse(r, name, "is encrypted");
    if (!is_usual(r->archive))
        return refuse(r, name, "is compressed by another method than deflate");
    if (!str_ends_with(name, "/") && !str_starts_with(name, "__MACOSX/") &&
        ++r->files > SKILLZIP_FILES_MAX)
        return err_set(r->err, -EBADMSG, "the archive has more than %d files", SKILLZIP_FILES_MAX);
    if (is_page(name, depth) && (r->depth == 0 || depth < r->depth)) {
        buf_clear(&r->page);
        r->depth = depth;
        return read_data(r, name, &r->page);
    }
    return read_data(r, name, NULL);
}

static int look_through(struct reading *r)
{
    struct archive_entry *entry;
    unsigned count = 0;
    int rc;

    while ((rc = archive_read_next_header(r->archive, &entry)) != ARCHIVE_EOF) {
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return damaged(r);
        if (++count > SKILLZIP_ENTRIES_MAX)
            return err_set(r->err, -EBADMSG, "the archive has more than %d entries",
                           SKILLZIP_ENTRIES_MAX);
        rc = look_at(r, entry);
        if (rc < 0)
            return rc;
    }
    if (r->depth == 0)
        return err_set(r->err, -EBADMSG,
                       "the archive has no " PAGE " at its top or in its one folder");
    return 0;
}

int skillzip_read(int fd, struct skillzip *ret_skill, struct err *err)
{
    struct reading r = { .archive = archive_read_new(), .err = err };
    int rc;

    if (!r.archive || archive_read_support_filter_none(r.archive) != ARCHIVE_OK ||
        archive_read_support_format_zip_streamable(r.archive) != ARCHIVE_OK)
        mem_die(); /* all that they need is memory */
    if (archive_read_open_fd(r.archive, fd, BLOCK_BYTES) != ARCHIVE_OK)
        rc = damaged(&r);
    else
        rc = look_through(&r);
    (void)archive_read_free(r.archive); /* what it read is read */
    if (rc >= 0)
        rc = skillzip_read_page(buf_str(&r.page), r.page.len, ret_skill, err);
    buf_done(&r.page);
    return rc;
}
