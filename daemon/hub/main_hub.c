/* nairi-hub: the command line. What the verbs do stands in serve.h and keycmd.h. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "hub/home.h"
#include "hub/keycmd.h"
#include "hub/serve.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/log.h"
#include "util/secret.h"
#include "util/str.h"

struct flags {
    struct serve_options serve;
    const char *db;
    const char *org;
    const char *agent;
    const char *operand;
    const char *overlap;
    bool help;
};

enum flag {
    FLAG_LISTEN = 1,
    FLAG_DB = 2,
    FLAG_ORG = 4,
    FLAG_AGENT = 8,
    FLAG_HELP = 16,
    FLAG_PATIENCE = 32,
    FLAG_SECRETS_KEY = 64,
    FLAG_ATTACHMENT_MAX = 128,
    FLAG_KEEP_UPLOADS = 256,
    FLAG_QUEUE_TIMEOUT = 512,
    FLAG_OVERLAP = 1024,
    FLAG_CHECK_IDLE = 2048,
    FLAG_AGENT_FILES = 4096,
    FLAG_KEEP_FREE = 8192,
    FLAG_SERVE = FLAG_LISTEN | FLAG_PATIENCE | FLAG_SECRETS_KEY | FLAG_ATTACHMENT_MAX |
                 FLAG_KEEP_UPLOADS | FLAG_QUEUE_TIMEOUT | FLAG_CHECK_IDLE | FLAG_AGENT_FILES |
                 FLAG_KEEP_FREE,
};

static const struct option options[] = {
    { "listen", required_argument, NULL, FLAG_LISTEN },
    { "patience", required_argument, NULL, FLAG_PATIENCE },
    { "attachment-max", required_argument, NULL, FLAG_ATTACHMENT_MAX },
    { "agent-files", required_argument, NULL, FLAG_AGENT_FILES },
    { "keep-free", required_argument, NULL, FLAG_KEEP_FREE },
    { "keep-uploads", required_argument, NULL, FLAG_KEEP_UPLOADS },
    { "queue-timeout", required_argument, NULL, FLAG_QUEUE_TIMEOUT },
    { "overlap", required_argument, NULL, FLAG_OVERLAP },
    { "db", required_argument, NULL, FLAG_DB },
    { "secrets-key", required_argument, NULL, FLAG_SECRETS_KEY },
    { "check-idle", required_argument, NULL, FLAG_CHECK_IDLE },
    { "org", required_argument, NULL, FLAG_ORG },
    { "agent", required_argument, NULL, FLAG_AGENT },
    { "help", no_argument, NULL, FLAG_HELP },
    { NULL, 0, NULL, 0 },
};

static const char usage[] =
    "usage: nairi-hub serve [--listen ADDR] [--patience SECONDS]\n"
    "                       [--queue-timeout SPAN] [--attachment-max SIZE]\n"
    "                       [--agent-files SIZE] [--keep-free SIZE]\n"
    "                       [--keep-uploads SPAN] [--check-idle SPAN]\n"
    "                       [--db FILE] [--secrets-key FILE]\n"
    "       nairi-hub key create --org NAME | --agent SLUG [--db FILE]\n"
    "       nairi-hub key list [--db FILE]\n"
    "       nairi-hub key rotate ID [--overlap SPAN] [--db FILE]\n"
    "       nairi-hub key revoke ID [--db FILE]\n"
    "       nairi-hub version | help\n"
    "\n"
    "The control plane of nairid: a public API for people and scripts, and the API\n"
    "that daemons poll.\n"
    "\n"
    "  --listen ADDR  HOST:PORT, numeric; port 0 takes any free one\n"
    "                 (" SERVE_LISTEN_DEFAULT ")\n"
    "  --patience SECONDS\n"
    "                 how long a request may take to arrive (60), and half of how\n"
    "                 long its answer may take to leave\n"
    "  --queue-timeout SPAN\n"
    "                 how long a message waits for an agent before it fails (24h;\n"
    "                 0: for ever)\n"
    "  --attachment-max SIZE\n"
    "                 how long an attachment may be (50M)\n"
    "  --agent-files SIZE\n"
    "                 how long the files of an agent may be together (10G)\n"
    "  --keep-free SIZE\n"
    "                 how much of the disk attachments leave free (256M; 0: none)\n"
    "  --keep-uploads SPAN\n"
    "                 how long an upload is kept that no message refers to (7d)\n"
    "  --db FILE      the database ($STATE_DIRECTORY/hub.db,\n"
    "                 $XDG_STATE_HOME/nairi-hub/hub.db, for root\n"
    "                 /var/lib/nairi-hub/hub.db, else\n"
    "                 ~/.local/state/nairi-hub/hub.db)\n"
    "  --secrets-key FILE\n"
    "                 the key that opens the secrets in the database, made where it is\n"
    "                 missing (the database's name and '.key')\n"
    "  --check-idle SPAN\n"
    "                 how often agents are asked which jobs are over (60s; 0: never)\n"
    "  --org NAME     a key for the public API, and what it is called in the list\n"
    "  --agent SLUG   a key for daemons of this agent, which is made if it is new\n"
    "  --overlap SPAN how long the old key still works after 'key rotate' (24h)\n"
    "  --help         print this and exit\n";

static int do_serve(const struct flags *f, const char *path, struct err *err)
{
    struct serve_options o = f->serve;

    o.path = path;
    return serve_run(&o, err);
}

static int do_create(const struct flags *f, const char *path, struct err *err)
{
    if (!f->org == !f->agent)
        return err_set(err, -EINVAL, "key create wants one of --org NAME and --agent SLUG");
    return keycmd_create(path, f->org, f->agent, err);
}

static int do_list(const struct flags *f, const char *path, struct err *err)
{
    (void)f;
    return keycmd_list(path, err);
}

static int do_rotate(const struct flags *f, const char *path, struct err *err)
{
    if (!f->operand)
        return err_set(err, -EINVAL, "key rotate wants the id of a key: see 'nairi-hub key list'");
    return keycmd_rotate(path, f->operand, f->overlap, err);
}

static int do_revoke(const struct flags *f, const char *path, struct err *err)
{
    if (!f->operand)
        return err_set(err, -EINVAL, "key revoke wants the id of a key: see 'nairi-hub key list'");
    return keycmd_revoke(path, f->operand, err);
}

static const struct verb {
    const char *words[2];
    unsigned flags;
    bool operand;
    int (*run)(const struct flags *f, const char *path, struct err *err);
} verbs[] = {
    { { "serve", NULL }, FLAG_SERVE | FLAG_DB, false, do_serve },
    { { "key", "create" }, FLAG_ORG | FLAG_AGENT | FLAG_DB, false, do_create },
    { { "key", "list" }, FLAG_DB, false, do_list },
    { { "key", "rotate" }, FLAG_OVERLAP | FLAG_DB, true, do_rotate },
    { { "key", "revoke" }, FLAG_DB, true, do_revoke },
};

static int refuse(const char *what, const char *word)
{
    fprintf(stderr, "nairi-hub: %s%s%s%s; see 'nairi-hub --help'\n", what, word ? " '" : "",
            word ? word : "", word ? "'" : "");
    return EX_USAGE;
}

/* Exit codes: design of the command line, shared with nairid. */
static int code_for(int error)
{
    switch (-error) {
    case EINVAL:
        return EX_USAGE;
    case EBUSY:
    case EADDRINUSE:
        return EX_TEMPFAIL;
    case ENOTSUP:
    case ENOKEY:
    case EKEYREJECTED:
        return EX_CONFIG;
    case EACCES:
    case EPERM:
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EROFS:
    case EADDRNOTAVAIL:
        return EX_CANTCREAT;
    case EIO:
    case ENOSPC:
    case EBADMSG:
        return EX_IOERR;
    default:
        return err_is_shortage(error) ? EX_TEMPFAIL : EX_SOFTWARE;
    }
}

/* getopt_long(3) answered c for word, which isn't to be used. */
static int refuse_flag(int c, const char *word)
{
    const char *names[ARRAY_SIZE(options)], *nearest;
    size_t count = 0;

    if (c == ':')
        return refuse("this option needs an argument:", word);
    for (; options[count].name; count++) {
        names[count] = options[count].name;
        if (options[count].val == c) {
            fprintf(stderr, "nairi-hub: the option '--%s' does not belong to this verb; ",
                    names[count]);
            fprintf(stderr, "see 'nairi-hub --help'\n");
            return EX_USAGE;
        }
    }
    nearest = str_nearest(word + strspn(word, "-"), names, count);
    if (nearest)
        fprintf(stderr, "nairi-hub: did you mean '--%s'?\n", nearest);
    return refuse("unknown option", word);
}

/* Where an option's argument goes. */
static const char **find_text(struct flags *f, enum flag flag)
{
    switch ((unsigned)flag) {
    case FLAG_LISTEN:
        return &f->serve.listen;
    case FLAG_PATIENCE:
        return &f->serve.patience;
    case FLAG_ATTACHMENT_MAX:
        return &f->serve.attachment_max;
    case FLAG_AGENT_FILES:
        return &f->serve.agent_files;
    case FLAG_KEEP_FREE:
        return &f->serve.keep_free;
    case FLAG_KEEP_UPLOADS:
        return &f->serve.keep_uploads;
    case FLAG_QUEUE_TIMEOUT:
        return &f->serve.queue_timeout;
    case FLAG_OVERLAP:
        return &f->overlap;
    case FLAG_CHECK_IDLE:
        return &f->serve.check_idle;
    case FLAG_SECRETS_KEY:
        return &f->serve.secrets_key;
    case FLAG_DB:
        return &f->db;
    case FLAG_ORG:
        return &f->org;
    default:
        return &f->agent;
    }
}

static int parse_flags(int argc, char **argv, const struct verb *verb, struct flags *f)
{
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (c == FLAG_HELP || c == 'h') {
            f->help = true;
            continue;
        }
        if (c == ':' || c == '?' || !((unsigned)c & verb->flags))
            return refuse_flag(c, argv[optind - 1]);
        *find_text(f, (enum flag)c) = optarg;
    }
    return 0;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    struct flags f = { 0 };
    struct err err = { 0 };
    AUTO_FREE char *path = NULL;
    int rc = parse_flags(argc, argv, verb, &f);

    if (rc != 0)
        return rc;
    if (f.help)
        return printf("%s", usage) < 0 ? EX_IOERR : EX_OK;
    if (verb->operand && optind < argc)
        f.operand = argv[optind++];
    if (optind < argc)
        return refuse("one word too many:", argv[optind]);
    path = home_path(f.db, &err);
    rc = path ? verb->run(&f, path, &err) : err.code;
    if (rc >= 0)
        return EX_OK;
    fprintf(stderr, "nairi-hub: %s\n", err.text);
    return code_for(rc);
}

static const struct verb *find_verb(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        int words = verbs[i].words[1] ? 2 : 1;

        if (argc <= words || !str_eq(argv[1], verbs[i].words[0]) ||
            (words == 2 && !str_eq(argv[2], verbs[i].words[1])))
            continue;
        *ret_words = words;
        return &verbs[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct verb *verb;
    int words = 0;

    log_setup(LOG_INFO, LOG_FORMAT_AUTO, NULL);
    if (secret_setup() < 0) {
        fprintf(stderr, "nairi-hub: libsodium can't be used on this machine\n");
        return EX_SOFTWARE;
    }
    if (argc < 2)
        return refuse("a verb is missing: serve or key", NULL);
    if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h") || str_eq(argv[1], "help"))
        return printf("%s", usage) < 0 ? EX_IOERR : EX_OK;
    if (str_eq(argv[1], "--version") || str_eq(argv[1], "version"))
        return printf("nairi-hub %s\n", NAIRID_VERSION) < 0 ? EX_IOERR : EX_OK;
    verb = find_verb(argc, argv, &words);
    if (!verb)
        return refuse(str_eq(argv[1], "key") ? "key wants create, list, rotate or revoke, not"
                                             : "unknown verb",
                      argc > 2 && str_eq(argv[1], "key") ? argv[2] : argv[1]);
    return run_verb(verb, argc - words, argv + words);
}
