/* words.h - what runners tell a person in a chat when their program failed: the cause, what they or
 * the operator of the machine can do, and the program's own words behind. Pure; a runner has one
 * table of what its program says, and one of what that leaves on standard error. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_OPERATOR "the operator of the machine can "
#define WORDS_AGAIN    "send the message again in a few minutes"

/* Causes that have the same words whatever the program is. */
#define WORDS_SESSION_GONE "the earlier conversation is not there any more"
#define WORDS_KEY_REFUSED                                                                          \
    "the model's provider refused the key; " WORDS_OPERATOR "put a valid one into the file that "  \
    "runner.secrets names"
#define WORDS_NO_MODEL                                                                             \
    "the model is not there, or not for this account; " WORDS_OPERATOR "name another one in "      \
    "runner.model, or none to use the standard one"
#define WORDS_NO_CREDIT                                                                            \
    "the account at the model's provider has no credit left; " WORDS_OPERATOR "add some, or give " \
    "another key in runner.secrets"
#define WORDS_RATE_LIMITED "the model's provider limits how much this account may ask; " WORDS_AGAIN
#define WORDS_OVERLOADED   "the model's provider is overloaded; " WORDS_AGAIN
#define WORDS_PROBLEM      "the model's provider has a problem; " WORDS_AGAIN
#define WORDS_REFUSED      "the model's provider refused the request"
#define WORDS_FILTERED     "the model's provider filtered the answer; put the message in other words"
#define WORDS_TOO_LONG                                                                             \
    "the answer became longer than the model may write at once; ask for a shorter one, or for "    \
    "one part at a time"
#define WORDS_TOO_MUCH                                                                             \
    "the conversation is longer than the model can read; start a new conversation with what "      \
    "matters from this one"
#define WORDS_TOO_LARGE                                                                            \
    "the message with all that belongs to it is too large for the API; start a new conversation, " \
    "with smaller files"

enum { WORDS_MAX = 400 }; /* of the program's own */

/* What a program says about its failure. Borrowed; NULL and 0 where it says nothing. */
struct words_failure {
    const char *kind;  /* its own name for what happened */
    const char *code;  /* of the last failed call to the API */
    int64_t status;    /* of that call's answer in HTTP; 0: there was none */
    const char *words; /* valid UTF-8 */
};

/* All that a row names must be so. One that names nothing fits everything. */
struct words_row {
    const char *kind;
    const char *code;
    int status_from, status_to; /* 0, 0: any */
    const char *says;           /* in the program's words, whatever the case */
    bool session_gone;          /* there is no such conversation to go on with */
    const char *text;
};

/* The first row that fits; NULL: none does. */
const struct words_row *words_find(const struct words_row *rows, size_t count,
                                   const struct words_failure *failure);
/* text and, where there are any, ". PRODUCT said: " with the beginning of words, which are valid
 * UTF-8 or NULL; allocated. */
char *words_speak(const char *product, const char *text, const char *words);
/* What is told of a run that printed no result: the text of the first row that fits the end of its
 * standard error (NULL: nothing is known of that), allocated, without its words, which are shown
 * anyway. NULL: none fits. */
char *words_stderr(const struct words_row *rows, size_t count, const char *tail,
                   bool *ret_session_gone);
