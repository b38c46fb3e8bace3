#include "runner/opencode_words.h"

#include <stddef.h>
#include <string.h>

#include "runner/words.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

#define PRODUCT  "OpenCode"
#define OPERATOR WORDS_OPERATOR
#define AGAIN    WORDS_AGAIN

#define REFUSED                                                                                    \
    "the model's provider refused the key; " OPERATOR "put a valid one into the file that "        \
    "runner.secrets names"

#define UNREACHED                                                                                  \
    "OpenCode could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look after the "   \
    "network, the base URL in runner.env, server.proxy and sandbox.network.mode"

/* All that a row names must be so; the first row that fits speaks. Source of names, codes and
 * texts: OpenCode 1.18.33, from what it printed (tests/fixtures/opencode) and its own table of
 * errors. */
struct row {
    const char *name;
    int status_from, status_to; /* of HTTP; 0, 0: any */
    const char *says;           /* in the program's words, whatever the case */
    bool session_gone;
    const char *text;
};

/* clang-format off */
static const struct row rows[] = {
    { .name = "ContextOverflowError",
      .text = "the conversation is longer than the model can read; start a new conversation with "
              "what matters from this one" },
    { .name = "ProviderAuthError", .text = REFUSED },
    { .name = "MessageOutputLengthError",
      .text = "the answer became longer than the model may write at once; ask for a shorter one, or "
              "for one part at a time" },
    { .name = "ContentFilterError",
      .text = "the model's provider filtered the answer; put the message in other words" },
    { .name = "MessageAbortedError",
      .text = "OpenCode was interrupted before it was done; send the message again" },
    { .says = "nairid: the broker", .text = UNREACHED },
    { .status_from = 401, .status_to = 401, .text = REFUSED },
    { .status_from = 402, .status_to = 402,
      .text = "the account at the model's provider has no credit left; " OPERATOR "add some, or "
              "give another key in runner.secrets" },
    { .says = "credit balance",
      .text = "the account at the model's provider has no credit left; " OPERATOR "add some, or "
              "give another key in runner.secrets" },
    { .says = "insufficient_quota",
      .text = "the account at the model's provider has no credit left; " OPERATOR "add some, or "
              "give another key in runner.secrets" },
    { .status_from = 403, .status_to = 403,
      .text = "the model's provider doesn't let this key use the model; " OPERATOR "give another "
              "key in runner.secrets, or name another model in runner.model" },
    { .status_from = 404, .status_to = 404,
      .text = "the model is not there, or not for this account; " OPERATOR "name another one in "
              "runner.model" },
    { .status_from = 413, .status_to = 413,
      .text = "the message with all that belongs to it is too large for the API; start a new "
              "conversation, with smaller files" },
    { .status_from = 429, .status_to = 429,
      .text = "the model's provider limits how much this account may ask; " AGAIN },
    { .status_from = 529, .status_to = 529,
      .text = "the model's provider is overloaded; " AGAIN },
    { .status_from = 503, .status_to = 503,
      .text = "the model's provider is overloaded; " AGAIN },
    { .status_from = 500, .status_to = 599,
      .text = "the model's provider has a problem; " AGAIN },
    { .status_from = 400, .status_to = 499,
      .text = "the model's provider refused the request" },
    { .says = "connect to API", .text = UNREACHED },
    { .says = "socket connection", .text = UNREACHED },
    { .says = "Model not found",
      .text = "OpenCode doesn't know the model; " OPERATOR "name another one in runner.model" },
    { .says = "Unexpected server error",
      .text = "OpenCode failed by itself; send the message again. If it stays so, " OPERATOR
              "look after runner.model and update OpenCode: npm install -g opencode-ai" },
    { .text = "OpenCode could not answer" },
};

static const struct row stderr_rows[] = {
    { .says = "Session not found", .session_gone = true,
      .text = "the earlier conversation is not there any more" },
    { .says = "opencode run [message..]",
      .text = "this version of OpenCode doesn't know an option that nairid uses; " OPERATOR
              "update it: npm install -g opencode-ai" },
    { .says = "Configuration is invalid",
      .text = "OpenCode can't read a configuration file of the workspace or of its home "
              "(opencode.json); mend or remove it" },
    { .says = "is not valid JSON",
      .text = "OpenCode can't read a configuration file of the workspace or of its home "
              "(opencode.json); mend or remove it" },
    { .says = "postinstall script was not run",
      .text = "OpenCode is not installed completely; " OPERATOR "install it again, with install "
              "scripts allowed: npm install -g opencode-ai" },
};
/* clang-format on */

static bool fits(const struct row *row, const struct opencode_failure *f)
{
    return (!row->name || str_eq(row->name, f->name)) &&
           (row->status_from == 0 ||
            (f->status >= row->status_from && f->status <= row->status_to)) &&
           (!row->says || (f->words && strcasestr(f->words, row->says)));
}

char *opencode_words(const struct opencode_failure *failure)
{
    const struct row *row = rows;

    while (!fits(row, failure)) /* the last one fits everything */
        row++;
    return words_speak(PRODUCT, row->text, failure->words);
}

char *opencode_words_stderr(const char *tail, bool *ret_session_gone)
{
    const struct opencode_failure failure = { .words = tail };

    *ret_session_gone = false;
    for (size_t i = 0; i < ARRAY_SIZE(stderr_rows); i++) {
        if (fits(&stderr_rows[i], &failure)) {
            *ret_session_gone = stderr_rows[i].session_gone;
            return mem_strdup(stderr_rows[i].text); /* its last words are shown anyway */
        }
    }
    return NULL;
}

/* "external_directory (/etc/\*)" of "! permission requested: external_directory (/etc/\*);
 * auto-rejecting". 0: it doesn't say that. */
static size_t find_request(const char *tail, const char **ret_request)
{
    static const char begin[] = "permission requested: ", end[] = "; auto-rejecting";
    const char *from = NULL, *to;

    for (const char *at = strstr(tail, begin); at; at = strstr(at, begin))
        from = at += strlen(begin); /* the last one */
    to = from ? strstr(from, end) : NULL;
    *ret_request = from;
    return to ? (size_t)(to - from) : 0;
}

char *opencode_words_unfinished(const char *reason, const char *rejected, const char *stderr_tail)
{
    const char *request;
    size_t len = find_request(stderr_tail, &request);

    if (len > 0)
        return mem_printf("OpenCode stopped before it was done: it asked for a permission, %.*s, "
                          "and there is nobody to ask; " OPERATOR "set runner.permissions to "
                          "bypass (the sandbox holds all the same), or take what asks out of the "
                          "workspace's opencode.json",
                          len < WORDS_MAX ? (int)len : (int)WORDS_MAX, request);
    if (rejected)
        return mem_printf("OpenCode stopped before it was done: it was not allowed to use the tool "
                          "%s; " OPERATOR "set runner.permissions to bypass (the sandbox holds all "
                          "the same)",
                          rejected);
    if (str_eq(reason, "length"))
        return mem_strdup("the answer became longer than the model may write at once; ask for a "
                          "shorter one, or for one part at a time");
    if (str_eq(reason, "content-filter"))
        return mem_strdup("the model's provider filtered the answer; put the message in other "
                          "words");
    return mem_strdup("OpenCode stopped in the middle of its work and gave no answer; say "
                      "\"continue\" to let it go on");
}
