/* nairid-sim - whole lives of the daemon's core in a simulated world, from seeds.
 *
 * What is real: all of core/, queue/, task/ and the batches of store/. What is simulated, by one
 * file each: clocks (world, agenda), disk, network, server (the hub's rules, or the hosted
 * service), children (tasks and spawner), operator (signals, admin socket, mishaps of the machine),
 * and the wiring of main/ (side, calls). A seed is one schedule: how many daemons, jobs and
 * messages there are, which kinds of fault and how often (schedule), and then each single thing
 * that happens, in simulated time. The same program and seed give the same schedule to the letter;
 * nothing here reads a clock, a file or the environment.
 *
 * What is checked, numbered as the invariants of the design (check, check_world): nothing lost,
 * nothing twice, in order, bounds; that commands act only after their commit; and that in the end
 * everything is answered and acknowledged, and journal and server agree.
 *
 * What the world grants, as nothing could hold without it:
 * - In the end it heals: after the schedule's faulty minutes nothing new goes wrong, the network is
 *   whole, disks have room, and a daemon that ended is started again (by a service manager after
 *   any exit but 0 and 77, by a person after these). Of two daemons the first may then be gone for
 *   good, with what it had begun.
 * - The server keeps what it has confirmed. It may restart and forget who is alive. Without leases
 *   there is one daemon an agent, and its listings lag behind by less than the journal's retention.
 * - A commit is all or nothing, also if the machine goes out during it; what was confirmed stays.
 * - The spawner ends what it is told to end, or is silent for ever; with the daemon it ends too.
 *   Where every slot is taken by what can't be killed, somebody restarts the machine.
 * - Monotonic clocks only go forward (and stand still while the machine sleeps); wall clocks jump.
 *
 * The planted faults (--break) are in the simulated disk and wiring: each is the single place that
 * asks sim->sabotage. Nothing of them is in the daemon. Coverage comes from the linker (cover). */
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "sim/cover.h"
#include "sim/world.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

enum { TAIL_LINES = 60 };

static const char usage[] =
    "usage: nairid-sim --seed N [--break NAME] [--blind]\n"
    "       nairid-sim --seeds COUNT [--from N] [--break NAME] [--blind]\n"
    "                  [--expect-fault] [--all] [--cover]\n"
    "--seed          one schedule, with its trace\n"
    "--seeds         many, from --from (1) on; stops at the first that breaks an invariant\n"
    "--break NAME    plants a fault: ack-first, no-dedup, act-first, lose-fence, forget-attempt,\n"
    "                forget-survey, forget-unsent, forget-ids\n"
    "--all           goes on after a schedule that fails\n"
    "--blind         checks only what server, users and programs can see, not journal and core\n"
    "--expect-fault  succeeds only if a schedule fails\n"
    "--cover         shows which cells of the state tables were reached, and fails if one wasn't\n";

static const char *const sabotage_names[] = {
    [SABOTAGE_NONE] = "none",
    [SABOTAGE_ACK_FIRST] = "ack-first",
    [SABOTAGE_NO_DEDUP] = "no-dedup",
    [SABOTAGE_ACT_FIRST] = "act-first",
    [SABOTAGE_LOSE_FENCE] = "lose-fence",
    [SABOTAGE_FORGET_ATTEMPT] = "forget-attempt",
    [SABOTAGE_FORGET_SURVEY] = "forget-survey",
    [SABOTAGE_FORGET_UNSENT] = "forget-unsent",
    [SABOTAGE_FORGET_IDS] = "forget-ids",
};
static_assert(ARRAY_SIZE(sabotage_names) == SABOTAGE_COUNT, "every planted fault has a name");

struct order {
    const char *program;
    bool one;
    uint64_t from, count;
    enum sabotage sabotage;
    bool blind, expect_fault, all, cover;
};

static int parse_sabotage(const char *name, enum sabotage *ret_sabotage)
{
    for (size_t i = 0; i < ARRAY_SIZE(sabotage_names); i++) {
        if (str_eq(sabotage_names[i], name)) {
            *ret_sabotage = (enum sabotage)i;
            return 0;
        }
    }
    return -1;
}

static bool parse(int argc, char **argv, struct order *o)
{
    static const struct option options[] = {
        { "seed", required_argument, NULL, 's' },
        { "seeds", required_argument, NULL, 'n' },
        { "from", required_argument, NULL, 'f' },
        { "break", required_argument, NULL, 'b' },
        { "expect-fault", no_argument, NULL, 'x' },
        { "cover", no_argument, NULL, 'c' },
        { "blind", no_argument, NULL, 'o' },
        { "all", no_argument, NULL, 'a' },
        { NULL, 0, NULL, 0 },
    };
    int option;
    bool ok = true;

    *o = (struct order){ .program = argv[0], .from = 1 };
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's') {
            o->one = true;
            o->count = 1;
            ok = ok && str_to_u64(optarg, UINT64_MAX, &o->from) == 0;
        } else if (option == 'n') {
            ok = ok && str_to_u64(optarg, UINT64_MAX, &o->count) == 0;
        } else if (option == 'f') {
            ok = ok && str_to_u64(optarg, UINT64_MAX, &o->from) == 0;
        } else if (option == 'b') {
            ok = ok && parse_sabotage(optarg, &o->sabotage) == 0;
        } else if (option == 'x') {
            o->expect_fault = true;
        } else if (option == 'o') {
            o->blind = true;
        } else if (option == 'a') {
            o->all = true;
        } else if (option == 'c') {
            o->cover = true;
        } else {
            ok = false;
        }
    }
    return ok && o->count > 0 && optind == argc;
}

static void print_finding(const struct order *o, const struct sim *sim)
{
    printf("seed %llu breaks at %.3f s: %s\n", (unsigned long long)sim->seed,
           (double)sim->finding.at_ms / 1000, sim->finding.text);
    printf("replay with: %s --seed %llu", o->program, (unsigned long long)sim->seed);
    if (o->sabotage != SABOTAGE_NONE)
        printf(" --break %s", sabotage_names[o->sabotage]);
    if (o->blind)
        printf(" --blind");
    putchar('\n');
}

static void begin(const struct order *o, struct sim *sim, uint64_t seed, FILE *trace)
{
    *sim = (struct sim){ .seed = seed, .sabotage = o->sabotage, .blind = o->blind, .trace = trace };
}

/* The same once more, for the last lines of its trace. */
static void print_tail(const struct order *o, uint64_t seed)
{
    AUTO_FREE struct sim *sim = mem_new(struct sim);
    char *text = NULL, *at;
    size_t len = 0, wanted = TAIL_LINES;
    FILE *trace = open_memstream(&text, &len);

    if (!trace)
        return;
    begin(o, sim, seed, trace);
    world_run(sim);
    (void)fclose(trace); /* to memory: it can't fail */
    for (at = text + len; at > text && wanted > 0; at--)
        wanted -= at[-1] == '\n' && at != text + len;
    printf("the last lines of its trace:\n%s", at > text ? at + 1 : at);
    free(text);
}

static void add_tally(struct tally *sum, const struct tally *t)
{
    const uint64_t *from = (const uint64_t *)t;
    uint64_t *to = (uint64_t *)sum;

    for (size_t i = 0; i < sizeof *t / sizeof *from; i++)
        to[i] += from[i];
}

static void print_tally(const struct order *o, const struct tally *t, uint64_t count, double took_s)
{
    printf("report: simulator, %s%s: %llu schedules in %.1f s of processor time, %.0f a second\n",
           o->sabotage ? sabotage_names[o->sabotage] : "nothing planted",
           o->blind ? " (seen from outside)" : "", (unsigned long long)count, took_s,
           took_s > 0 ? (double)count / took_s : 0);
    printf("%llu events, %llu commands, %llu commits, %llu full disks\n",
           (unsigned long long)t->events, (unsigned long long)t->commands,
           (unsigned long long)t->commits, (unsigned long long)t->full_disks);
    printf("%llu starts, %llu crashes, %llu exits, %llu words of operators, %llu mishaps, "
           "%llu stops by users\n",
           (unsigned long long)t->starts, (unsigned long long)t->crashes,
           (unsigned long long)t->exits, (unsigned long long)t->words,
           (unsigned long long)t->mishaps, (unsigned long long)t->stops);
    printf("%llu requests, %llu lost, %llu repeated, %llu answers lost, %llu jobs taken over, "
           "%llu replies refused\n",
           (unsigned long long)t->requests, (unsigned long long)t->requests_lost,
           (unsigned long long)t->requests_repeated, (unsigned long long)t->answers_lost,
           (unsigned long long)t->takeovers, (unsigned long long)t->refusals);
    printf("%llu children, %llu of them bad, %llu kills, %llu stuck, %llu tombstones purged, "
           "%llu channels, %llu messages pushed\n",
           (unsigned long long)t->children, (unsigned long long)t->bad_children,
           (unsigned long long)t->kills, (unsigned long long)t->stuck,
           (unsigned long long)t->purged, (unsigned long long)t->feeds,
           (unsigned long long)t->pushes);
    printf("%llu jobs reported complete, %llu posts given up for a reply\n",
           (unsigned long long)t->completes, (unsigned long long)t->given_up);
    printf("%llu surveys, %llu of them after a restart; %llu files for people, %llu uploads\n",
           (unsigned long long)t->surveys, (unsigned long long)t->late_surveys,
           (unsigned long long)t->files, (unsigned long long)t->uploads);
}

/* *ret_ran: how many were run. */
static bool run_many(const struct order *o, struct sim *sim, struct tally *sum, uint64_t *ret_ran)
{
    bool good = true;

    for (uint64_t i = 0; i < o->count; i++) {
        begin(o, sim, o->from + i, o->one ? stdout : NULL);
        world_run(sim);
        add_tally(sum, &sim->tally);
        *ret_ran = i + 1;
        if (!sim->finding.found)
            continue;
        good = false;
        print_finding(o, sim);
        if (!o->all)
            break;
    }
    return good;
}

int main(int argc, char **argv)
{
    AUTO_FREE struct sim *sim = mem_new(struct sim);
    struct tally sum = { 0 };
    struct order o;
    uint64_t ran = 0;
    clock_t began = clock();
    bool good;

    if (!parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    good = run_many(&o, sim, &sum, &ran);
    if (!o.one)
        print_tally(&o, &sum, ran, (double)(clock() - began) / CLOCKS_PER_SEC);
    if (!good && !o.one && !o.expect_fault && !o.all)
        print_tail(&o, sim->seed);
    if (o.expect_fault)
        printf("report: simulator, %s planted%s: %s after %llu schedules\n",
               sabotage_names[o.sabotage], o.blind ? ", seen from outside" : "",
               good ? "not found" : "found", (unsigned long long)ran);
    if (o.cover && !cover_report(stdout)) {
        puts("a cell of the state tables was not reached");
        good = false;
    }
    return good != o.expect_fault ? EXIT_SUCCESS : EXIT_FAILURE;
}
