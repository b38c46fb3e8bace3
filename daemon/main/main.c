#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "main/cmd.h"
#include "main/exitcode.h"
#include "util/cleanup.h"
#include "util/secret.h"
#include "util/str.h"

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* one line */
};

/* In the order of --help. The first one is what no verb means. */
static const struct verb verbs[] = {
    { "run", cmd_run, "the daemon, in the foreground" },
    { "up", cmd_up, "run hub and daemon together, for one person" },
    { "ask", cmd_ask, "start or go on with a conversation, print the reply" },
    { "check", cmd_check, "would the daemon work here?" },
    { "status", cmd_status, "what the running daemon does" },
    { "drain", cmd_drain, "let the running daemon finish its tasks and end" },
    { "cancel", cmd_cancel, "stop a job of the running daemon" },
    { "logs", cmd_logs, "what the running daemon logged of a job" },
    { "sandbox", cmd_sandbox, "run a command in a sandbox like a task's" },
    { "config", cmd_config, "print the settings in force and where they come from" },
    { "version", cmd_version, "print the version" },
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static void print_help(void)
{
    puts("Usage: nairid [VERB] [FLAG...] [ARGUMENT...]\n\n"
         "Runs tasks that a Nairi control plane sends, each in a sandbox, and answers them.\n\n"
         "Verbs:");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        printf("  %-8s  %s\n", verbs[i].name, verbs[i].help);
    puts("\n'nairid VERB --help' lists the flags of a verb. Without a verb nairid means 'run'.\n"
         "The manual: man 1 nairid, man 5 nairid.yaml.");
}

static int refuse_verb(const char *word)
{
    const char *names[ARRAY_SIZE(verbs)];
    const char *nearest;

    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        names[i] = verbs[i].name;
    nearest = str_nearest(word, names, ARRAY_SIZE(verbs));
    if (nearest)
        fprintf(stderr, "nairid: unknown verb '%s', did you mean '%s'?", word, nearest);
    else
        fprintf(stderr, "nairid: unknown verb '%s'.", word);
    fputs(" See 'nairid --help'.\n", stderr);
    return EX_USAGE;
}

/* A closed standard descriptor would otherwise be the next file that is opened: the journal, say,
 * as the place where errors are printed. */
static int open_standard_fds(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR); /* without close-on-exec, as 0 to 2 are inherited */
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0) {
        fprintf(stderr, "nairid: open '/dev/null': %s\n", strerror(errno));
        return EX_TEMPFAIL;
    }
    (void)close(fd); /* read nothing, wrote nothing */
    return EX_OK;
}

static int dispatch(int argc, char **argv)
{
    const struct verb *verb;

    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_help();
        return EX_OK;
    }
    if (argc < 2 || argv[1][0] == '-') {
        return verbs[0].run(argc, argv);
    }
    if (strcmp(argv[1], "help") == 0) {
        print_help();
        return EX_OK;
    }
    verb = find_verb(argv[1]);
    if (!verb)
        return refuse_verb(argv[1]);
    return verb->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int code = open_standard_fds();

    if (code != EX_OK)
        return code;
    if (secret_setup() < 0) {
        fputs("nairid: libsodium can't be initialised: no source of randomness\n", stderr);
        return EX_SOFTWARE;
    }
    code = dispatch(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EX_OK) {
        fprintf(stderr, "nairid: writing to standard output failed: %s\n", strerror(errno));
        return EX_IOERR;
    }
    return code;
}
