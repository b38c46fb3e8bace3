#include "runner/claude_words.h"

#include <assert.h>

#include "util/cleanup.h"

#define OPERATOR WORDS_OPERATOR
#define AGAIN    WORDS_AGAIN

#define USAGE_LIMIT                                                                                \
    "the account's usage limit is reached; send the message again when it is reset, or " OPERATOR  \
    "give another key in runner.secrets"

/* Kinds are the result's subtypes. Source of the texts and codes: Claude Code 2.1.197, from its
 * answers (tests/fixtures/claude) and its own table of errors. */
/* clang-format off */
static const struct words_row rows[] = {
    { .says = "No conversation found with session ID", .session_gone = true,
      .text = WORDS_SESSION_GONE },
    { .says = "requires a valid session ID", .session_gone = true,
      .text = WORDS_SESSION_GONE },
    { .kind = "error_max_turns",
      .text = "Claude Code took as many turns as it may and stopped before it was done; say "
              "\"continue\" to let it go on" },
    { .kind = "error_max_budget_usd",
      .text = "Claude Code spent as much as it may for one message and stopped before it was done" },
    { .says = "Not logged in",
      .text = "Claude Code is not logged in; " OPERATOR "give it a key: ANTHROPIC_API_KEY or "
              "CLAUDE_CODE_OAUTH_TOKEN in runner.secrets" },
    { .says = "Prompt is too long",
      .text = "the conversation is longer than the model can read; start a new conversation with "
              "what matters from this one, or send \"/compact\" here and then the message again" },
    { .says = "Request too large", .text = WORDS_TOO_LARGE },
    { .code = "billing_error", .text = WORDS_NO_CREDIT },
    { .status_from = 402, .status_to = 402, .text = WORDS_NO_CREDIT },
    { .says = "disabled organization",
      .text = "the key belongs to an organisation that is disabled; " OPERATOR "give another key in "
              "runner.secrets" },
    { .code = "oauth_org_not_allowed",
      .text = "the account may not use Claude Code; " OPERATOR "give another key in "
              "runner.secrets" },
    { .says = "You've hit your", .text = USAGE_LIMIT },
    { .says = "out of usage", .text = USAGE_LIMIT },
    { .says = "usage limit reached", .text = USAGE_LIMIT },
    { .code = "rate_limit", .text = WORDS_RATE_LIMITED },
    { .status_from = 429, .status_to = 429, .text = WORDS_RATE_LIMITED },
    { .status_from = 529, .status_to = 529, .text = WORDS_OVERLOADED },
    { .code = "overloaded", .text = WORDS_OVERLOADED },
    { .code = "model_not_found", .text = WORDS_NO_MODEL },
    { .code = "authentication_failed", .text = WORDS_KEY_REFUSED },
    { .status_from = 401, .status_to = 401, .text = WORDS_KEY_REFUSED },
    { .code = "max_output_tokens", .text = WORDS_TOO_LONG },
    { .says = "nairid: the broker",
      .text = "Claude Code could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look "
              "after the network, runner.env (ANTHROPIC_BASE_URL) and server.proxy" },
    { .status_from = 500, .status_to = 599, .text = WORDS_PROBLEM },
    { .status_from = 400, .status_to = 499, .text = WORDS_REFUSED },
    { .code = "server_error",
      .text = "Claude Code could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look "
              "after the network, runner.env (ANTHROPIC_BASE_URL, HTTPS_PROXY) and "
              "sandbox.network.mode" },
    { .says = "connect to API",
      .text = "Claude Code could not reach its model; " AGAIN ". If it stays so, " OPERATOR "look "
              "after the network, runner.env (ANTHROPIC_BASE_URL, HTTPS_PROXY) and "
              "sandbox.network.mode" },
    { .kind = "error_during_execution",
      .text = "Claude Code stopped before it was done; send the message again" },
    { .text = "Claude Code could not answer" },
};

static const struct words_row stderr_rows[] = {
    { .says = "No conversation found with session ID", .session_gone = true,
      .text = WORDS_SESSION_GONE },
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

char *claude_words(const struct words_failure *failure, bool *ret_session_gone)
{
    const struct words_row *row = words_find(rows, ARRAY_SIZE(rows), failure);

    assert(row); /* the last one fits everything */
    *ret_session_gone = row->session_gone;
    return words_speak("Claude Code", row->text, failure->words);
}

char *claude_words_stderr(const char *tail, bool *ret_session_gone)
{
    return words_stderr(stderr_rows, ARRAY_SIZE(stderr_rows), tail, ret_session_gone);
}
