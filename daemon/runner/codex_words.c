#include "runner/codex_words.h"

#include <assert.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"

#define OPERATOR WORDS_OPERATOR
#define AGAIN    WORDS_AGAIN

#define NO_WAY                                                                                     \
    "Codex could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look after the "      \
    "network, runner.env (OPENAI_BASE_URL, HTTPS_PROXY), server.proxy and sandbox.network.mode"
#define LIMIT                                                                                      \
    "the account's usage limit is reached, or it has no credit left; send the message again when " \
    "it is reset, or " OPERATOR "give another key in runner.secrets"
#define NO_NODE                                                                                    \
    "Codex needs node, which isn't in the sandbox; " OPERATOR "install it below /usr, or name "    \
    "Codex's own program in runner.program, which lies in the package codex-linux-x64 as "         \
    "vendor/*/bin/codex"

/* Source of what it says: Codex 0.169.0, from its answers (tests/fixtures/codex) and the texts that
 * it holds. */
/* clang-format off */
static const struct words_row rows[] = {
    { .says = "nairid: the broker", .text = NO_WAY },
    { .says = "Missing environment variable",
      .text = "Codex has no key; " OPERATOR "give it one: OPENAI_API_KEY in runner.secrets" },
    { .says = "Not logged in",
      .text = "Codex has no key; " OPERATOR "give it one: OPENAI_API_KEY in runner.secrets" },
    { .says = "Quota exceeded", .text = LIMIT },
    { .says = "insufficient_quota", .text = LIMIT },
    { .says = "hit your usage limit", .text = LIMIT },
    { .says = "402 Payment", .text = LIMIT },
    { .says = "401 Unauthorized", .text = WORDS_KEY_REFUSED },
    { .says = "403 Forbidden",
      .text = "the model's provider refused the key, or what it was used for; " OPERATOR "put a "
              "valid one into the file that runner.secrets names" },
    { .says = "429 Too Many", .text = WORDS_RATE_LIMITED },
    { .says = "rate limit", .text = WORDS_RATE_LIMITED },
    { .says = "at capacity", .text = WORDS_OVERLOADED },
    { .says = "high demand", .text = WORDS_PROBLEM },
    { .says = "context window", .text = WORDS_TOO_MUCH },
    { .says = "context_length", .text = WORDS_TOO_MUCH },
    { .says = "model_not_found", .text = WORDS_NO_MODEL },
    { .says = "404 Not Found", .text = WORDS_NO_MODEL },
    { .says = "unexpected status 4", .text = WORDS_REFUSED },
    { .says = "invalid_request", .text = WORDS_REFUSED },
    { .says = "unexpected status 5", .text = WORDS_PROBLEM },
    { .says = "waiting for network", .text = NO_WAY },
    { .says = "Connection failed", .text = NO_WAY },
    { .says = "error sending request", .text = NO_WAY },
    { .says = "stream disconnected",
      .text = "the model's provider broke off its answer; " AGAIN },
    { .text = "Codex could not answer" },
};

static const struct words_row stderr_rows[] = {
    { .says = "no rollout found", .session_gone = true, .text = WORDS_SESSION_GONE },
    { .says = "thread/resume failed", .session_gone = true, .text = WORDS_SESSION_GONE },
    { .says = "unexpected argument",
      .text = "this version of Codex doesn't know an option that nairid uses; " OPERATOR "update "
              "it: npm install -g @openai/codex" },
    { .says = "Missing optional dependency",
      .text = "Codex is not installed completely; " OPERATOR "install it again: npm install -g "
              "@openai/codex" },
    { .says = "Read-only file system",
      .text = "Codex could not write its own directory, .codex in its home; " OPERATOR "look after "
              "runner.env (CODEX_HOME) and sandbox.write" },
    { .says = "env: \xe2\x80\x98node\xe2\x80\x99", .text = NO_NODE },
    { .says = "env: 'node'", .text = NO_NODE },
};
/* clang-format on */

/* What an API answered comes as it is: its own words are within. */
static char *unpack(const char *message)
{
    CLEANUP_PTR(json_free) struct json *json = NULL;
    const char *words = NULL;

    if (message && message[0] == '{' && json_parse(message, strlen(message), &json, NULL) == 0)
        words = json_get_str(json_get(json, "error"), "message");
    return mem_strdup(words ? words : message);
}

char *codex_words(const char *message, bool *ret_session_gone)
{
    AUTO_FREE char *words = unpack(message);
    const struct words_row *row =
        words_find(rows, ARRAY_SIZE(rows), &(struct words_failure){ .words = message });

    assert(row); /* the last one fits everything */
    *ret_session_gone = row->session_gone;
    return words_speak("Codex", row->text, words);
}

char *codex_words_stderr(const char *tail, bool *ret_session_gone)
{
    return words_stderr(stderr_rows, ARRAY_SIZE(stderr_rows), tail, ret_session_gone);
}
