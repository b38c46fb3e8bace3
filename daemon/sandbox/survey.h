/* survey.h - looks through a job's directories for what others may trip over (task/planted.h), and
 * writes what it finds as task/leftover.h has it. What it reads is hostile, so it only ever runs in
 * a sandbox: in place of the program of a plan with survey set (plan_survey_make()), within
 * FILTER_SURVEY. The directories are where a task has them, read-only; there is nothing else.
 * Directories are looked at level by level, so that what lies near the top is seen before what was
 * heaped up below to hide it, opened beneath the top without following a link or crossing a mount
 * (openat2(2)). Time, entries, depth and findings are bounded; what hits a bound is said in the
 * result, and the names at the top that matter are then looked up one by one.
 * Not seen: what is behind a link, as it may be reached by another name than its own (the link in
 * place of what is obeyed counts itself); what is below a node_modules, but for git directories and
 * links that lead out, as packages ship all of it and nobody works there, which the result says
 * (LEFTOVERS_PACKAGES) where there is something; git's objects. A task can put there what somebody
 * else has to fetch from there first.
 * In the home, which no program but the job's own tasks ever has as its home, only what is
 * dangerous to the person who handles it counts: set-id bits, device nodes, strange names. */
#pragma once

enum {
    SURVEY_MS = 5000, /* then it stops by itself, with what it has */
    SURVEY_ENTRIES_MAX = 2000000,
};

/* workspace, home: where they are seen. Writes to standard output. Ends the process, with 0 where
 * all could be written. */
_Noreturn void survey_run(const char *workspace, const char *home);
