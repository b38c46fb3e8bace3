#include "settings/envname.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "util/cleanup.h"
#include "util/str.h"

static const char own[] = "it is one of nairid's own";
static const char place[] = "the sandbox sets it";
static const char way[] = "it would change the way out of the sandbox, which is the operator's";
static const char loads[] = "it would change what programs load";
static const char goes_there[] = "a model's key goes there, so the operator names it (runner.env)";

/* A name, or with a star at the end all that begin so; proxies are read in either case. */
static const struct {
    const char *pattern, *why;
} reserved[] = {
    { "NAIRID_*", own },
    { "NAIRI_*", own },
    { "EKSEC_*", own },
    { "CCAGENT_*", own },
    { "AGENT_EXEC_USER", own },
    { "AGENT_HTTP_PROXY", own },
    { "AGENT_MCP_PROXY", own },
    { "PATH", place },
    { "HOME", place },
    { "USER", place },
    { "LOGNAME", place },
    { "SHELL", place },
    { "PWD", place },
    { "TMPDIR", place },
    { "LD_*", loads },
    { "GCONV_PATH", loads },
    { "BASH_ENV", loads },
    { "ENV", loads },
    { "NODE_OPTIONS", loads },
    { "HTTP_PROXY", way },
    { "HTTPS_PROXY", way },
    { "ALL_PROXY", way },
    { "NO_PROXY", way },
    { "NPM_CONFIG_PROXY", way },
    { "NPM_CONFIG_HTTPS_PROXY", way },
    { "NPM_CONFIG_NOPROXY", way },
    { "YARN_HTTP_PROXY", way },
    { "YARN_HTTPS_PROXY", way },
    { "GLOBAL_AGENT_*", way },
    { "NODE_USE_ENV_PROXY", way },
    { "ANTHROPIC_BASE_URL", goes_there },
    { "OPENAI_BASE_URL", goes_there },
    { "OPENCODE_CONFIG*", "we tell OpenCode by it where its model is" },
};

bool envname_is_valid(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    const size_t digits = 10;
    size_t len = strlen(name);

    return len >= 1 && len <= ENVNAME_MAX && strspn(name, letters) == len &&
           !memchr(letters + sizeof letters - 1 - digits, name[0], digits);
}

const char *envname_refusal(const char *name)
{
    if (!envname_is_valid(name))
        return "it is no name of a variable (letters, digits and _, no digit first)";
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        const char *pattern = reserved[i].pattern;
        size_t len = strlen(pattern);
        bool is_prefix = pattern[len - 1] == '*';

        if (is_prefix ? strncasecmp(name, pattern, len - 1) == 0 : strcasecmp(name, pattern) == 0)
            return reserved[i].why;
    }
    return NULL;
}
