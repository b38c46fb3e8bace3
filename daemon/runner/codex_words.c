#include "runner/codex_words.h"

#include <stddef.h>
#include <string.h>

#include "runner/words.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

#define OPERATOR WORDS_OPERATOR
#define AGAIN    WORDS_AGAIN

#define GONE "the earlier conversation is not there any more"
#define NO_WAY                                                                                     \
    "Codex could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look after the "      \
    "network, runner.env (OPENAI_BASE_URL, HTTPS_PROXY), server.proxy and sandbox.network.mode"
#define LIMIT                                                                                      \
    "the account's usage limit is reached, or it has no credit left; send the message again when " \
    "it is reset, or " OPERATOR "give another key in runner.secrets"
#define TOO_LONG                                                                                   \
    "the conversation is longer than the model can read; start a new conversation with what "      \
    "matters from this one"
#define NO_MODEL                                                                                   \
    "the model is not there, or not for this account; " OPERATOR "name another one in "            \
    "runner.model, or none to use the standard one"
#define NO_NODE                                                                                    \
    "Codex needs node, which isn't in the sandbox; " OPERATOR "install it below /usr, or name "    \
    "Codex's own program in runner.program, which lies in the package codex-linux-x64 as "         \
    "vendor/*/bin/codex"

/* The first row whose words are in the program's speaks. Source of those: Codex 0.169.0, from its
 * answers (tests/fixtures/codex) and the texts that it holds. */
struct row {
    const char *says; /* whatever the case */
    bool session_gone;
    const char *text;
};

/* clang-format off */
static const struct row rows[] = {
    { "nairid: the broker", false, NO_WAY },
    { "Missing environment variable", false,
      "Codex has no key; " OPERATOR "give it one: OPENAI_API_KEY in runner.secrets" },
    { "Not logged in", false,
      "Codex has no key; " OPERATOR "give it one: OPENAI_API_KEY in runner.secrets" },
    { "Quota exceeded", false, LIMIT },
    { "insufficient_quota", false, LIMIT },
    { "hit your usage limit", false, LIMIT },
    { "402 Payment", false, LIMIT },
    { "401 Unauthorized", false,
      "the model's provider refused the key; " OPERATOR "put a valid one into the file that "
      "runner.secrets names" },
    { "403 Forbidden", false,
      "the model's provider refused the key, or what it was used for; " OPERATOR "put a valid one "
      "into the file that runner.secrets names" },
    { "429 Too Many", false,
      "the model's provider limits how much this account may ask; " AGAIN },
    { "rate limit", false,
      "the model's provider limits how much this account may ask; " AGAIN },
    { "at capacity", false, "the model's provider is overloaded; " AGAIN },
    { "high demand", false, "the model's provider has a problem; " AGAIN },
    { "context window", false, TOO_LONG },
    { "context_length", false, TOO_LONG },
    { "model_not_found", false, NO_MODEL },
    { "404 Not Found", false, NO_MODEL },
    { "unexpected status 4", false, "the model's provider refused the request" },
    { "invalid_request", false, "the model's provider refused the request" },
    { "unexpected status 5", false, "the model's provider has a problem; " AGAIN },
    { "waiting for network", false, NO_WAY },
    { "Connection failed", false, NO_WAY },
    { "error sending request", false, NO_WAY },
    { "stream disconnected", false,
      "the model's provider broke off its answer; " AGAIN },
    { "", false, "Codex could not answer" },
};

static const struct row stderr_rows[] = {
    { "no rollout found", true, GONE },
    { "thread/resume failed", true, GONE },
    { "unexpected argument", false,
      "this version of Codex doesn't know an option that nairid uses; " OPERATOR "update it: "
      "npm install -g @openai/codex" },
    { "Missing optional dependency", false,
      "Codex is not installed completely; " OPERATOR "install it again: npm install -g "
      "@openai/codex" },
    { "Read-only file system", false,
      "Codex could not write its own directory, .codex in its home; " OPERATOR "look after "
      "runner.env (CODEX_HOME) and sandbox.write" },
    { "env: \xe2\x80\x98node\xe2\x80\x99", false, NO_NODE },
    { "env: 'node'", false, NO_NODE },
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
    const struct row *row = rows;

    while (message && !strcasestr(message, row->says)) /* the last one fits everything */
        row++;
    *ret_session_gone = row->session_gone && message;
    return words_speak("Codex", message ? row->text : rows[ARRAY_SIZE(rows) - 1].text, words);
}

char *codex_words_stderr(const char *tail, bool *ret_session_gone)
{
    *ret_session_gone = false;
    for (size_t i = 0; tail && i < ARRAY_SIZE(stderr_rows); i++) {
        if (strcasestr(tail, stderr_rows[i].says)) {
            *ret_session_gone = stderr_rows[i].session_gone;
            return mem_strdup(stderr_rows[i].text); /* its last words are shown anyway */
        }
    }
    return NULL;
}
