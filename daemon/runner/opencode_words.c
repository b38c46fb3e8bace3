#include "runner/opencode_words.h"

#include <assert.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

#define OPERATOR WORDS_OPERATOR
#define AGAIN    WORDS_AGAIN

#define UNREACHED                                                                                  \
    "OpenCode could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look after the "   \
    "network, the base URL in runner.env, server.proxy and sandbox.network.mode"

/* Kinds are the names of its errors. Source of names, codes and texts: OpenCode 1.18.33, from what
 * it printed (tests/fixtures/opencode) and its own table of errors. */
/* clang-format off */
static const struct words_row rows[] = {
    { .kind = "ContextOverflowError", .text = WORDS_TOO_MUCH },
    { .kind = "ProviderAuthError", .text = WORDS_KEY_REFUSED },
    { .kind = "MessageOutputLengthError", .text = WORDS_TOO_LONG },
    { .kind = "ContentFilterError", .text = WORDS_FILTERED },
    { .kind = "MessageAbortedError",
      .text = "OpenCode was interrupted before it was done; send the message again" },
    { .says = "nairid: the broker", .text = UNREACHED },
    { .status_from = 401, .status_to = 401, .text = WORDS_KEY_REFUSED },
    { .status_from = 402, .status_to = 402, .text = WORDS_NO_CREDIT },
    { .says = "credit balance", .text = WORDS_NO_CREDIT },
    { .says = "insufficient_quota", .text = WORDS_NO_CREDIT },
    { .status_from = 403, .status_to = 403,
      .text = "the model's provider doesn't let this key use the model; " OPERATOR "give another "
              "key in runner.secrets, or name another model in runner.model" },
    { .status_from = 404, .status_to = 404,
      .text = "the model is not there, or not for this account; " OPERATOR "name another one in "
              "runner.model" },
    { .status_from = 413, .status_to = 413, .text = WORDS_TOO_LARGE },
    { .status_from = 429, .status_to = 429, .text = WORDS_RATE_LIMITED },
    { .status_from = 529, .status_to = 529, .text = WORDS_OVERLOADED },
    { .status_from = 503, .status_to = 503, .text = WORDS_OVERLOADED },
    { .status_from = 500, .status_to = 599, .text = WORDS_PROBLEM },
    { .status_from = 400, .status_to = 499, .text = WORDS_REFUSED },
    { .says = "connect to API", .text = UNREACHED },
    { .says = "socket connection", .text = UNREACHED },
    { .says = "Model not found",
      .text = "OpenCode doesn't know the model; " OPERATOR "name another one in runner.model" },
    { .says = "Unexpected server error",
      .text = "OpenCode failed by itself; send the message again. If it stays so, " OPERATOR
              "look after runner.model and update OpenCode: npm install -g opencode-ai" },
    { .text = "OpenCode could not answer" },
};

static const struct words_row stderr_rows[] = {
    { .says = "Session not found", .session_gone = true, .text = WORDS_SESSION_GONE },
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

char *opencode_words(const struct words_failure *failure)
{
    const struct words_row *row = words_find(rows, ARRAY_SIZE(rows), failure);

    assert(row); /* the last one fits everything */
    return words_speak("OpenCode", row->text, failure->words);
}

char *opencode_words_stderr(const char *tail, bool *ret_session_gone)
{
    return words_stderr(stderr_rows, ARRAY_SIZE(stderr_rows), tail, ret_session_gone);
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
        return mem_strdup(WORDS_TOO_LONG);
    if (str_eq(reason, "content-filter"))
        return mem_strdup(WORDS_FILTERED);
    return mem_strdup("OpenCode stopped in the middle of its work and gave no answer; say "
                      "\"continue\" to let it go on");
}
