#include "runner/claude_words.h"

#include <stddef.h>
#include <string.h>

#include "runner/words.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

#define OPERATOR WORDS_OPERATOR
#define AGAIN    WORDS_AGAIN

#define USAGE_LIMIT                                                                                \
    "the account's usage limit is reached; send the message again when it is reset, or " OPERATOR  \
    "give another key in runner.secrets"

/* All that a row names must be so; the first row that fits speaks. Source of the texts and codes:
 * Claude Code 2.1.197, from its answers (tests/fixtures/claude) and its own table of errors. */
struct row {
    const char *subtype;
    const char *code;
    int status_from, status_to; /* of HTTP; 0, 0: any */
    const char *says;           /* in the program's words, whatever the case */
    bool session_gone;
    const char *text;
};

/* clang-format off */
static const struct row rows[] = {
    { .says = "No conversation found with session ID", .session_gone = true,
      .text = "the earlier conversation is not there any more" },
    { .says = "requires a valid session ID", .session_gone = true,
      .text = "the earlier conversation is not there any more" },
    { .subtype = "error_max_turns",
      .text = "Claude Code took as many turns as it may and stopped before it was done; say "
              "\"continue\" to let it go on" },
    { .subtype = "error_max_budget_usd",
      .text = "Claude Code spent as much as it may for one message and stopped before it was done" },
    { .says = "Not logged in",
      .text = "Claude Code is not logged in; " OPERATOR "give it a key: ANTHROPIC_API_KEY or "
              "CLAUDE_CODE_OAUTH_TOKEN in runner.secrets" },
    { .says = "Prompt is too long",
      .text = "the conversation is longer than the model can read; start a new conversation with "
              "what matters from this one, or send \"/compact\" here and then the message again" },
    { .says = "Request too large",
      .text = "the message with all that belongs to it is too large for the API; start a new "
              "conversation, with smaller files" },
    { .code = "billing_error",
      .text = "the account at the model's provider has no credit left; " OPERATOR "add some, or "
              "give another key in runner.secrets" },
    { .status_from = 402, .status_to = 402,
      .text = "the account at the model's provider has no credit left; " OPERATOR "add some, or "
              "give another key in runner.secrets" },
    { .says = "disabled organization",
      .text = "the key belongs to an organisation that is disabled; " OPERATOR "give another key in "
              "runner.secrets" },
    { .code = "oauth_org_not_allowed",
      .text = "the account may not use Claude Code; " OPERATOR "give another key in "
              "runner.secrets" },
    { .says = "You've hit your", .text = USAGE_LIMIT },
    { .says = "out of usage", .text = USAGE_LIMIT },
    { .says = "usage limit reached", .text = USAGE_LIMIT },
    { .code = "rate_limit",
      .text = "the model's provider limits how much this account may ask; " AGAIN },
    { .status_from = 429, .status_to = 429,
      .text = "the model's provider limits how much this account may ask; " AGAIN },
    { .status_from = 529, .status_to = 529,
      .text = "the model's provider is overloaded; " AGAIN },
    { .code = "overloaded",
      .text = "the model's provider is overloaded; " AGAIN },
    { .code = "model_not_found",
      .text = "the model is not there, or not for this account; " OPERATOR "name another one in "
              "runner.model, or none to use the standard one" },
    { .code = "authentication_failed",
      .text = "the model's provider refused the key; " OPERATOR "put a valid one into the file that "
              "runner.secrets names" },
    { .status_from = 401, .status_to = 401,
      .text = "the model's provider refused the key; " OPERATOR "put a valid one into the file that "
              "runner.secrets names" },
    { .code = "max_output_tokens",
      .text = "the answer became longer than the model may write at once; ask for a shorter one, or "
              "for one part at a time" },
    { .says = "nairid: the broker",
      .text = "Claude Code could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look "
              "after the network, runner.env (ANTHROPIC_BASE_URL) and server.proxy" },
    { .status_from = 500, .status_to = 599,
      .text = "the model's provider has a problem; " AGAIN },
    { .status_from = 400, .status_to = 499,
      .text = "the model's provider refused the request" },
    { .code = "server_error",
      .text = "Claude Code could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look "
              "after the network, runner.env (ANTHROPIC_BASE_URL, HTTPS_PROXY) and "
              "sandbox.network.mode" },
    { .says = "connect to API",
      .text = "Claude Code could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look "
              "after the network, runner.env (ANTHROPIC_BASE_URL, HTTPS_PROXY) and "
              "sandbox.network.mode" },
    { .subtype = "error_during_execution",
      .text = "Claude Code stopped before it was done; send the message again" },
    { .text = "Claude Code could not answer" },
};

static const struct row stderr_rows[] = {
    { .says = "No conversation found with session ID", .session_gone = true,
      .text = "the earlier conversation is not there any more" },
    { .says = "cannot be used with root",
      .text = "Claude Code refuses to run as root; this can't be in a sandbox: " OPERATOR "run "
              "'nairid check'" },
    { .says = "unknown option",
      .text = "this version of Claude Code doesn't know an option that nairid uses; " OPERATOR
              "update it: npm install -g @anthropic-ai/claude-code" },
    { .says = "native binary not installed",
      .text = "Claude Code is not installed completely; " OPERATOR "install it again, with install "
              "scripts allowed: npm install -g @anthropic-ai/claude-code" },
    { .says = "env: \xe2\x80\x98node\xe2\x80\x99",
      .text = "Claude Code needs node, which isn't in the sandbox; " OPERATOR "install it below "
              "/usr, or install a Claude Code that brings its own: npm install -g "
              "@anthropic-ai/claude-code" },
    { .says = "env: 'node'",
      .text = "Claude Code needs node, which isn't in the sandbox; " OPERATOR "install it below "
              "/usr, or install a Claude Code that brings its own: npm install -g "
              "@anthropic-ai/claude-code" },
};
/* clang-format on */

static bool says(const char *words, const char *what)
{
    return words && strcasestr(words, what);
}

static bool fits(const struct row *row, const struct claude_failure *f)
{
    return (!row->subtype || str_eq(row->subtype, f->subtype)) &&
           (!row->code || str_eq(row->code, f->code)) &&
           (row->status_from == 0 ||
            (f->status >= row->status_from && f->status <= row->status_to)) &&
           (!row->says || says(f->words, row->says));
}

char *claude_words(const struct claude_failure *failure, bool *ret_session_gone)
{
    const struct row *row = rows;

    while (!fits(row, failure)) /* the last one fits everything */
        row++;
    *ret_session_gone = row->session_gone;
    return words_speak("Claude Code", row->text, failure->words);
}

char *claude_words_stderr(const char *tail, bool *ret_session_gone)
{
    const struct claude_failure failure = { .words = tail };

    *ret_session_gone = false;
    for (size_t i = 0; i < ARRAY_SIZE(stderr_rows); i++) {
        if (fits(&stderr_rows[i], &failure)) {
            *ret_session_gone = stderr_rows[i].session_gone;
            return mem_strdup(stderr_rows[i].text); /* its last words are shown anyway */
        }
    }
    return NULL;
}
