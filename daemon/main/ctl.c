/* status, drain, cancel and logs: what a person asks the running daemon over its admin socket. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/adminclient.h"
#include "main/clientenv.h"
#include "main/cmd.h"
#include "main/exitcode.h"
#include "main/instances.h"
#include "main/options.h"
#include "main/overview.h"
#include "main/terminal.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"

enum { CALL_MS = 5000, WATCH_S = 1, PIPE_COLUMNS = 1000 };

struct ctl_args {
    const char *state;
    bool json;
    bool watch;
};

/* clang-format off */
#define STATE_ROW                                                                                  \
    { .name = "state", .type = OPTIONS_TEXT, .argument = "DIR",                                    \
      .offset = offsetof(struct ctl_args, state),                                                  \
      .help = "state directory of the daemon to ask" }

static const struct options_row status_rows[] = {
    { .name = "json", .type = OPTIONS_SWITCH, .offset = offsetof(struct ctl_args, json),
      .help = "as one JSON object" },
    { .name = "watch", .type = OPTIONS_SWITCH, .offset = offsetof(struct ctl_args, watch),
      .help = "as it goes on, until interrupted or the daemon ends" },
    STATE_ROW,
};
static const struct options_row other_rows[] = { STATE_ROW };

static const struct options_spec status_spec = {
    .verb = "status",
    .usage = "[--json] [--watch] [--state DIR]",
    .summary = "Prints what the running daemon does: its connection, the jobs, the queue.",
    .rows = status_rows,
    .row_count = ARRAY_SIZE(status_rows),
};
static const struct options_spec drain_spec = {
    .verb = "drain",
    .usage = "[--state DIR]",
    .summary = "Asks the running daemon to take nothing new, finish its tasks and end, as TERM\n"
               "does.",
    .rows = other_rows,
    .row_count = ARRAY_SIZE(other_rows),
};
static const struct options_spec cancel_spec = {
    .verb = "cancel",
    .usage = "[--state DIR] JOB",
    .summary = "Ends the running task of a job, with everything that it started, and answers\n"
               "what waits in that job.",
    .rows = other_rows,
    .row_count = ARRAY_SIZE(other_rows),
    .operands_min = 1,
    .operands_max = 1,
};
static const struct options_spec logs_spec = {
    .verb = "logs",
    .usage = "[--state DIR] JOB",
    .summary = "Prints the lines that the running daemon logged of a job, the latest last. It keeps\n"
               "half a megabyte of such lines of all jobs.",
    .rows = other_rows,
    .row_count = ARRAY_SIZE(other_rows),
    .operands_min = 1,
    .operands_max = 1,
};
/* clang-format on */

/* ---- asking ---- */

static bool is_nobody_there(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED;
}

/* The directory itself, or the one that `nairid up` keeps for its daemon in it. */
static int call_in(const char *dir, const struct json *request, struct json **ret_answer,
                   struct err *err)
{
    AUTO_FREE char *inner = mem_printf("%s/daemon", dir);
    int r = adminclient_call(dir, request, CALL_MS, ret_answer, err);
    struct err second = { 0 };
    int r2;

    if (!is_nobody_there(r))
        return r;
    r2 = adminclient_call(inner, request, CALL_MS, ret_answer, &second);
    if (is_nobody_there(r2))
        return r; /* about the directory that was named */
    *err = second;
    return r2;
}

/* The one daemon that has an agent's own directory there. *r stays as it is where there is none. */
static bool call_instance(const char *dir, const struct json *request, struct json **ret_answer,
                          int *r, struct err *err)
{
    AUTO_FREE char *own = NULL;
    struct err why = { 0 };
    int found = instances_find(dir, CALL_MS, &own, &why);

    if (found == -ENOENT)
        return false;
    *err = why;
    *r = found < 0 ? found : adminclient_call(own, request, CALL_MS, ret_answer, err);
    return true;
}

/* Where --state doesn't say: the service's place, those of agents below it, and then that of
 * `nairid up`. */
static int call(const struct ctl_args *args, const struct json *request, struct json **ret_answer,
                struct err *err)
{
    const struct settings_input input = { .environ = (const char *const *)environ,
                                          .state_dir = args->state,
                                          .uid = geteuid() };
    AUTO_FREE char *dir = NULL;
    AUTO_FREE char *up = NULL;
    struct err second = { 0 };
    int r = settings_state_dir(&input, &dir, err);
    int r2;

    if (r < 0)
        return r;
    r = call_in(dir, request, ret_answer, err);
    if (args->state || !is_nobody_there(r))
        return r;
    if (call_instance(dir, request, ret_answer, &r, err) ||
        clientenv_state_dir(NULL, &up, NULL) < 0)
        return r;
    r2 = call_in(up, request, ret_answer, &second);
    if (is_nobody_there(r2))
        return r; /* about the service's place */
    *err = second;
    return r2;
}

/* cancel and logs are refused where there is nothing of the job. */
static int exit_code(int r, int when_refused)
{
    if (r == -EREMOTEIO)
        return when_refused;
    if (r == -EINVAL)
        return EX_USAGE;
    return r == -EPROTO ? EX_SOFTWARE : EX_UNAVAILABLE;
}

static int complain(const char *verb, int r, const struct err *err, int when_refused)
{
    CLEANUP(buf_done) struct buf words = { 0 };

    terminal_clean(&words, err->text, strlen(err->text));
    (void)fflush(stdout); /* what was printed comes before; main() tells of a failure */
    fprintf(stderr, "nairid %s: %s\n", verb, buf_str(&words));
    return exit_code(r, when_refused);
}

/* ---- status ---- */

/* What stands on the terminal. */
struct frame {
    size_t rows, columns;
};

static void draw(struct frame *frame, const struct json *answer)
{
    CLEANUP(buf_done) struct buf text = { 0 }, out = { 0 };
    size_t rows = terminal_rows(STDOUT_FILENO), columns = terminal_columns(STDOUT_FILENO);

    overview_print(&text, answer, clock_mono_ms(), columns);
    terminal_frame(&out, buf_str(&text), rows, rows != frame->rows || columns != frame->columns);
    *frame = (struct frame){ .rows = rows, .columns = columns };
    fputs(buf_str(&out), stdout);
}

static void print_status(const struct json *answer, const struct ctl_args *args)
{
    CLEANUP(buf_done) struct buf text = { 0 };

    if (args->json) {
        AUTO_FREE char *line = json_print(answer);

        puts(line);
        return;
    }
    overview_print(&text, answer, clock_mono_ms(),
                   isatty(STDOUT_FILENO) ? terminal_columns(STDOUT_FILENO) : PIPE_COLUMNS);
    fputs(buf_str(&text), stdout);
}

static void print_changes(const struct json *before, const struct json *answer)
{
    CLEANUP(buf_done) struct buf text = { 0 };

    overview_changes(&text, before, answer);
    fputs(buf_str(&text), stdout);
}

/* On a terminal the state as it is; else a line for each change. */
static void watch_status(struct frame *frame, const struct json *before, const struct json *answer,
                         const struct ctl_args *args)
{
    if (args->json)
        print_status(answer, args);
    else if (terminal_can_redraw(STDOUT_FILENO))
        draw(frame, answer);
    else
        print_changes(before, answer);
}

static int show_status(const struct ctl_args *args)
{
    const struct timespec pause = { .tv_sec = WATCH_S };
    CLEANUP_PTR(json_free) struct json *request = json_object();
    CLEANUP_PTR(json_free) struct json *before = NULL;
    struct frame frame = { 0 };

    json_add_str(request, "verb", "status");
    for (;;) {
        CLEANUP_PTR(json_free) struct json *answer = NULL;
        struct err err = { 0 };
        int r = call(args, request, &answer, &err);

        if (r < 0)
            return complain("status", r, &err, EX_TEMPFAIL);
        if (!args->watch) {
            print_status(answer, args);
            return EX_OK;
        }
        watch_status(&frame, before, answer, args);
        if (fflush(stdout) != 0) /* main() tells of a failure */
            return EX_OK;
        json_free(before);
        before = TAKE_PTR(answer);
        (void)nanosleep(&pause, NULL); /* a shorter pause does no harm */
    }
}

int cmd_status(int argc, char **argv)
{
    struct ctl_args args = { 0 };
    struct options options;
    int code;

    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* for widths; without it a line is cut a bit early */
    if (!options_parse(&status_spec, argc, argv, &args, &options, &code))
        return code;
    code = show_status(&args);
    options_done(&options);
    return code;
}

/* ---- drain, cancel ---- */

static int tell(const char *verb, const struct ctl_args *args, const char *job, int when_refused)
{
    CLEANUP_PTR(json_free) struct json *request = json_object();
    CLEANUP_PTR(json_free) struct json *answer = NULL;
    struct err err = { 0 };
    int r;

    json_add_str(request, "verb", verb);
    if (job)
        json_add_str(request, "job", job);
    r = call(args, request, &answer, &err);
    return r < 0 ? complain(verb, r, &err, when_refused) : EX_OK;
}

int cmd_drain(int argc, char **argv)
{
    struct ctl_args args = { 0 };
    struct options options;
    int code;

    if (!options_parse(&drain_spec, argc, argv, &args, &options, &code))
        return code;
    code = tell("drain", &args, NULL, EX_TEMPFAIL);
    if (code == EX_OK)
        puts("draining: the daemon takes nothing new and ends once its tasks are answered");
    options_done(&options);
    return code;
}

int cmd_cancel(int argc, char **argv)
{
    struct ctl_args args = { 0 };
    struct options options;
    int code;

    if (!options_parse(&cancel_spec, argc, argv, &args, &options, &code))
        return code;
    code = tell("cancel", &args, options.operands[0], EXITCODE_FAILED);
    if (code == EX_OK)
        printf("stopping %s\n", options.operands[0]);
    options_done(&options);
    return code;
}

/* ---- logs ---- */

static void print_line(const char *text)
{
    CLEANUP(buf_done) struct buf line = { 0 };

    terminal_clean(&line, text, strlen(text));
    puts(buf_str(&line));
}

static int show_logs(const struct ctl_args *args, const char *job)
{
    CLEANUP_PTR(json_free) struct json *request = json_object();
    CLEANUP_PTR(json_free) struct json *answer = NULL;
    const struct json *lines;
    struct err err = { 0 };
    bool forgot = false;
    int r;

    json_add_str(request, "verb", "logs");
    json_add_str(request, "job", job);
    r = call(args, request, &answer, &err);
    if (r < 0)
        return complain("logs", r, &err, EXITCODE_FAILED);
    lines = json_get(answer, "lines");
    (void)json_get_bool(answer, "forgot", &forgot); /* without: it forgot none */
    if (forgot)
        fputs("nairid logs: older lines are forgotten; the daemon's standard error had them\n",
              stderr);
    for (const struct json *line = json_first(lines); line; line = json_next(line))
        if (json_is_string(line))
            print_line(json_str(line));
    return EX_OK;
}

int cmd_logs(int argc, char **argv)
{
    struct ctl_args args = { 0 };
    struct options options;
    int code;

    if (!options_parse(&logs_spec, argc, argv, &args, &options, &code))
        return code;
    code = show_logs(&args, options.operands[0]);
    options_done(&options);
    return code;
}
