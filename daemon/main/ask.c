#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "main/clientenv.h"
#include "main/cmd.h"
#include "main/dialogue.h"
#include "main/exitcode.h"
#include "main/keepsake.h"
#include "main/luggage.h"
#include "main/options.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

#define HOSTED_URL "https://api.nairi.ai"

enum { PROMPT_MAX_BYTES = 1 << 20 /* as nairi-hub's */, CHUNK_BYTES = 64 * 1024 };

struct ask_args {
    const char *job, *mode, *save, *state;
    struct strv attach;
};

/* clang-format off */
static const struct options_row rows[] = {
    { .name = "job", .type = OPTIONS_TEXT, .argument = "ID", .offset = offsetof(struct ask_args, job),
      .help = "go on with this conversation; without PROMPT, wait for its last answer" },
    { .name = "mode", .type = OPTIONS_TEXT, .argument = "MODE", .offset = offsetof(struct ask_args, mode),
      .help = "ask: only answer; execute: may change files (default)" },
    { .name = "attach", .type = OPTIONS_TEXTS, .argument = "FILE", .offset = offsetof(struct ask_args, attach),
      .help = "send a file along; may be repeated" },
    { .name = "save", .type = OPTIONS_TEXT, .argument = "DIR", .offset = offsetof(struct ask_args, save),
      .help = "save what comes with the answer in this directory" },
    { .name = "state", .type = OPTIONS_TEXT, .argument = "DIR", .offset = offsetof(struct ask_args, state),
      .help = "state directory of the 'nairid up' to ask" },
};
/* clang-format on */

static const struct options_spec spec = {
    .verb = "ask",
    .usage = "[--job ID] [--mode ask|execute] [--attach FILE] [--save DIR] [PROMPT]",
    .summary = "Starts or goes on with a conversation, waits, and prints the reply alone on\n"
               "standard output. A PROMPT of '-' or none is read from standard input.",
    .notes = "The server is that of NAIRI_API_URL, NAIRI_PUBLIC_API_KEY and NAIRI_AGENT_ID, or\n"
             "where these are unset that of 'nairid up' on this machine.\n"
             "Exit status: 0 answered, 1 failed, 69 no answer from the server, 77 key refused.\n"
             "Ctrl-C leaves the task running and says how to get its answer or stop it.",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
    .operands_max = 1,
};

static const char *get_env(const char *name)
{
    const char *value = getenv(name);

    return str_is_empty(value) ? NULL : value;
}

static int client_from_env(struct clientenv *c, struct err *err)
{
    const char *url = get_env("NAIRI_API_URL"), *agent_id = get_env("NAIRI_AGENT_ID");
    struct clientenv found = { 0 };
    int r = secret_take_env("NAIRI_PUBLIC_API_KEY", &found.key, err);

    if (r == -ENOENT)
        return err_set(err, -EINVAL,
                       "NAIRI_API_URL is set, but NAIRI_PUBLIC_API_KEY isn't: set it to the "
                       "organisation's key for that server");
    if (r < 0)
        return r;
    found.url = mem_strdup(url ? url : HOSTED_URL);
    found.agent_id = mem_strdup(agent_id);
    *c = found;
    return 0;
}

static int client_from_state(const char *given, struct clientenv *c, char **ret_dir,
                             struct err *err)
{
    AUTO_FREE char *dir = NULL;
    const char *agent_id = get_env("NAIRI_AGENT_ID");
    int r = clientenv_state_dir(given, &dir, err);

    if (r < 0)
        return r;
    r = clientenv_load(dir, c, err);
    if (r == -ENOENT)
        return err_set(err, -EINVAL,
                       "no server is known: there is no '%s/" CLIENTENV_FILE "', so no 'nairid up' "
                       "was started there, and NAIRI_API_URL and NAIRI_PUBLIC_API_KEY aren't set",
                       dir);
    if (r < 0)
        return r;
    if (!c->url || !c->key)
        return err_set(err, -EINVAL,
                       "'%s/" CLIENTENV_FILE "' lacks NAIRI_API_URL or "
                       "NAIRI_PUBLIC_API_KEY: stop 'nairid up', remove the file, start it again",
                       dir);
    if (!given && agent_id) {
        free(c->agent_id);
        c->agent_id = mem_strdup(agent_id);
    }
    *ret_dir = TAKE_PTR(dir);
    return 0;
}

/* URL and key come from one place, both: a key is never sent to another place's server. */
static int find_client(const char *state, struct clientenv *c, char **ret_dir, struct err *err)
{
    int r;

    if (!state && (get_env("NAIRI_PUBLIC_API_KEY") || get_env("NAIRI_API_URL")))
        r = client_from_env(c, err);
    else
        r = client_from_state(state, c, ret_dir, err);
    return r < 0 ? r : clientenv_check_key(c->key, err);
}

static int read_prompt(struct buf *prompt)
{
    for (;;) {
        ssize_t n = read(STDIN_FILENO, buf_reserve(prompt, CHUNK_BYTES), CHUNK_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "nairid ask: reading the prompt: %s\n", strerror(errno));
            return EX_IOERR;
        }
        prompt->len += (size_t)n;
        if (n == 0 || prompt->len > PROMPT_MAX_BYTES)
            return EX_OK;
    }
}

/* The prompt from argument or standard input; empty: none. */
static int take_prompt(const struct options *o, struct buf *prompt)
{
    int code = EX_OK;

    if (o->operand_count > 0 && !str_eq(o->operands[0], "-"))
        buf_append_str(prompt, o->operands[0]);
    else if (o->operand_count > 0 || !isatty(STDIN_FILENO))
        code = read_prompt(prompt);
    if (code != EX_OK)
        return code;
    if (prompt->len > PROMPT_MAX_BYTES)
        return options_refuse(&spec, "the prompt is longer than %d bytes", PROMPT_MAX_BYTES);
    if (!utf8_is_valid(buf_str(prompt), prompt->len))
        return options_refuse(&spec, "the prompt isn't text in UTF-8");
    if (strlen(buf_str(prompt)) != prompt->len)
        return options_refuse(&spec, "the prompt has a NUL byte in it, which no text has");
    return EX_OK;
}

static int check_args(const struct ask_args *args)
{
    static const char *const modes[] = { "ask", "execute" };

    if (!args->mode)
        return EX_OK;
    if (args->job)
        return options_refuse(&spec, "a conversation keeps its mode: '--mode' is for a new one");
    if (!str_eq(args->mode, modes[0]) && !str_eq(args->mode, modes[1]))
        return options_refuse(&spec, "'--mode %s': want ask or execute", args->mode);
    return EX_OK;
}

static int ask(const struct ask_args *args, const struct buf *prompt)
{
    struct dialogue_options options = { .job_id = args->job,
                                        .ask_mode = str_eq(args->mode, "ask"),
                                        .state = args->state,
                                        .prompt = prompt->len > 0 ? prompt->data : NULL };
    struct clientenv client = { 0 };
    CLEANUP_PTR(luggage_free) struct luggage *luggage = NULL;
    CLEANUP_PTR(keepsake_free) struct keepsake *keepsake = NULL;
    AUTO_FREE char *env_dir = NULL;
    struct err err = { 0 };
    int code = EX_CONFIG, r = luggage_open(&args->attach, &luggage, &err);

    if (r == 0 && args->save)
        r = keepsake_open(args->save, &keepsake, &err);
    if (r < 0) {
        fprintf(stderr, "nairid ask: %s\n", err.text);
        return EX_USAGE;
    }
    r = find_client(args->state, &client, &env_dir, &err);
    if (r < 0) {
        fprintf(stderr, "nairid ask: %s\n", err.text);
        code = exitcode_from_setting(r);
    } else if (!args->job && !client.agent_id) {
        fputs("nairid ask: NAIRI_AGENT_ID isn't set: which agent is to do it?\n", stderr);
    } else {
        options.agent_id = client.agent_id;
        options.env_dir = env_dir;
        options.luggage = luggage;
        options.keepsake = keepsake;
        options.save_dir = args->save;
        code = dialogue_run(&client, &options);
    }
    clientenv_done(&client);
    return code;
}

int cmd_ask(int argc, char **argv)
{
    struct ask_args args = { 0 };
    struct options options = { 0 };
    CLEANUP(buf_done) struct buf prompt = { 0 };
    int code;

    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* for widths; without it a line is cut a bit early */
    if (!options_parse(&spec, argc, argv, &args, &options, &code))
        return code;
    code = check_args(&args);
    if (code == EX_OK)
        code = take_prompt(&options, &prompt);
    if (code == EX_OK && prompt.len == 0 && !args.job)
        code = options_refuse(&spec, "the prompt is empty");
    if (code == EX_OK && prompt.len == 0 && args.attach.len > 0)
        code = options_refuse(&spec, "'--attach' goes along with a prompt");
    if (code == EX_OK)
        code = ask(&args, &prompt);
    options_done(&options);
    strv_done(&args.attach);
    return code;
}
