/* transcript.h - what the list of a conversation's messages says about one of them: its status, its
 * answer, and what is done about it right now. Pure. The list is untrusted input.
 * Source: Nairi public API, sections "Conversations", "Message object" and "Progress". */
#pragma once
#include "util/buf.h"
#include "util/strv.h"
#include <stdbool.h>

struct json;

enum transcript_status {
    TRANSCRIPT_UNKNOWN, /* not in the list, or of no known status */
    TRANSCRIPT_QUEUED,
    TRANSCRIPT_PENDING,
    TRANSCRIPT_COMPLETED,
    TRANSCRIPT_FAILED,
    TRANSCRIPT_STATUS_COUNT
};

struct transcript {
    enum transcript_status status;
    struct buf answer; /* assistant messages that answer it */
    struct buf error;  /* or the system message that says why there is none */
    struct strv files; /* ids of what came with the answer: letters, digits, '_' and '-' */
    struct buf doing;  /* the last progress about it, in a few words */
};

/* list: the answer {"messages": [...]}. Our hub names the question in each row
 * ("processed_message_id"). Where that is missing: questions are answered in their order, so an
 * answer is found by counting if later questions were asked before it came. */
void transcript_read(const struct json *list, const char *message_id,
                     struct transcript *ret_transcript);
void transcript_done(struct transcript *t);
enum transcript_status transcript_status_of(const struct json *message);
/* The id of the last message of role user, NULL if there is none. Borrowed. */
const char *transcript_last_question(const struct json *list);
