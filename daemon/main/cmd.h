/* cmd.h - the verbs of nairid, one file each: main/VERB.c. argv[0] is the verb, or the program
 * where none was given (run). The return value is the exit code (main/exitcode.h). secret_setup()
 * has been called, and descriptors 0 to 2 are open. Each verb parses its flags with options_parse()
 * or args_parse(), which answer --help. */
#pragma once
#include <stddef.h>

int cmd_run(int argc, char **argv);     /* the daemon in the foreground */
int cmd_up(int argc, char **argv);      /* hub and daemon together */
int cmd_ask(int argc, char **argv);     /* a conversation over the public API */
int cmd_check(int argc, char **argv);   /* would run work here? */
int cmd_status(int argc, char **argv);  /* over the admin socket: ctl.c */
int cmd_drain(int argc, char **argv);   /* over the admin socket: ctl.c */
int cmd_cancel(int argc, char **argv);  /* over the admin socket: ctl.c */
int cmd_logs(int argc, char **argv);    /* over the admin socket: ctl.c */
int cmd_sandbox(int argc, char **argv); /* a command in a task's sandbox */
int cmd_config(int argc, char **argv);  /* the settings in force */
int cmd_version(int argc, char **argv);
