#include "main/transcript.h"

#include <assert.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/str.h"

#define ERROR_PREFIX "nairid encountered error: "

enum { FILES_MAX = 1000, FILE_ID_MAX = 64 };

enum role { ROLE_OTHER, ROLE_USER, ROLE_ANSWER, ROLE_ERROR, ROLE_PROGRESS };

static enum role role_of(const struct json *row)
{
    const char *role = json_get_str(row, "role"), *content = json_get_str(row, "content");

    if (!role || !content)
        return ROLE_OTHER;
    if (strcmp(role, "user") == 0)
        return ROLE_USER;
    if (strcmp(role, "assistant") == 0)
        return ROLE_ANSWER;
    if (strcmp(role, "progress") == 0)
        return ROLE_PROGRESS;
    if (strcmp(role, "system") == 0 && str_starts_with(content, ERROR_PREFIX))
        return ROLE_ERROR;
    return ROLE_OTHER; /* a system message that is no end: a pull request, say */
}

enum transcript_status transcript_status_of(const struct json *message)
{
    static const char *const names[] = {
        [TRANSCRIPT_QUEUED] = "queued",
        [TRANSCRIPT_PENDING] = "pending",
        [TRANSCRIPT_COMPLETED] = "completed",
        [TRANSCRIPT_FAILED] = "failed",
    };
    static_assert(ARRAY_SIZE(names) == TRANSCRIPT_STATUS_COUNT, "every status has a name");
    const char *status = json_get_str(message, "status");

    for (size_t i = TRANSCRIPT_QUEUED; status && i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i], status) == 0)
            return (enum transcript_status)i;
    return TRANSCRIPT_UNKNOWN;
}

static void add_part(struct buf *b, const char *glue, const char *text)
{
    if (str_is_empty(text))
        return;
    if (b->len > 0)
        buf_append_str(b, glue);
    buf_append_str(b, text);
}

/* content is a JSON text of the progress payload; "TOOL: input" or what was said. */
static void describe(struct buf *doing, const char *content)
{
    CLEANUP_PTR(json_free) struct json *payload = NULL;
    CLEANUP(buf_done) struct buf text = { 0 };

    if (json_parse(content, strlen(content), &payload, NULL) < 0)
        return;
    add_part(&text, "", json_get_str(payload, "tool_name"));
    add_part(&text, ": ", json_get_str(payload, "tool_input"));
    add_part(&text, ": ", json_get_str(payload, "text_delta"));
    add_part(&text, ": ", json_get_str(payload, "summary"));
    if (text.len == 0)
        return; /* says nothing: what was said before stands */
    buf_clear(doing);
    buf_append(doing, text.data, text.len);
}

/* Where the question stands among the others. */
struct place {
    const struct json *row; /* NULL: not in the list */
    size_t skip;            /* ends after it that belong to earlier questions */
    bool is_last;           /* no question follows */
};

static struct place find_place(const struct json *rows, const char *message_id)
{
    struct place p = { .is_last = true };
    size_t open = 0; /* questions before it that have no end yet */

    for (const struct json *row = json_first(rows); row; row = json_next(row)) {
        enum role role = role_of(row);

        if (p.row && role == ROLE_USER)
            p.is_last = false;
        if (p.row)
            continue;
        if (role == ROLE_USER && str_eq(json_get_str(row, "id"), message_id)) {
            p.row = row;
            p.skip = open;
        } else if (role == ROLE_USER) {
            open++;
        } else if (role == ROLE_ANSWER || role == ROLE_ERROR) {
            open -= open > 0;
        }
    }
    return p;
}

/* An id becomes a part of a path, and of a file's name. */
static void add_files(struct strv *files, const struct json *row)
{
    const struct json *ids = json_get(row, "attachment_ids");

    for (const struct json *id = json_is_array(ids) ? json_first(ids) : NULL; id;
         id = json_next(id)) {
        const char *s = json_str(id);
        size_t len = s ? strlen(s) : 0;

        if (len > 0 && len <= FILE_ID_MAX && files->len < FILES_MAX &&
            strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len)
            strv_add(files, s);
    }
}

void transcript_read(const struct json *list, const char *message_id,
                     struct transcript *ret_transcript)
{
    struct place place = find_place(json_get(list, "messages"), message_id);
    struct transcript t = { .status = transcript_status_of(place.row) };
    size_t ends = 0;

    for (const struct json *row = json_next(place.row); row; row = json_next(row)) {
        enum role role = role_of(row);
        const char *content = json_get_str(row, "content");
        const char *about = json_get_str(row, "processed_message_id");

        if (about && !str_eq(about, message_id))
            continue;
        if (role == ROLE_PROGRESS)
            describe(&t.doing, content);
        if (role != ROLE_ANSWER && role != ROLE_ERROR)
            continue;
        if (!about && ends++ < place.skip) {
            buf_clear(&t.doing); /* was about an earlier question */
            continue;
        }
        if (!about && ends > place.skip + 1 && !place.is_last)
            break;
        add_part(role == ROLE_ANSWER ? &t.answer : &t.error, "\n", content);
        add_files(&t.files, row);
    }
    *ret_transcript = t;
}

void transcript_done(struct transcript *t)
{
    buf_done(&t->answer);
    buf_done(&t->error);
    buf_done(&t->doing);
    strv_done(&t->files);
}

const char *transcript_last_question(const struct json *list)
{
    const char *id = NULL;

    for (const struct json *row = json_first(json_get(list, "messages")); row; row = json_next(row))
        if (role_of(row) == ROLE_USER)
            id = json_get_str(row, "id");
    return id;
}
