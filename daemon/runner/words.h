/* words.h - what runners tell a person in a chat when their program failed: the cause, what they or
 * the operator of the machine can do, and the program's own words behind. Pure. */
#pragma once

#define WORDS_OPERATOR "the operator of the machine can "
#define WORDS_AGAIN    "send the message again in a few minutes"

enum { WORDS_MAX = 400 }; /* of the program's own */

/* text and, where there are any, ". PRODUCT said: " with the beginning of words, which are valid
 * UTF-8 or NULL; allocated. */
char *words_speak(const char *product, const char *text, const char *words);
