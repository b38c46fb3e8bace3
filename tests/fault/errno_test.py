"""Makes each call of each call site fail once, with what the machine may make it fail with.

    errno_test.py daemon|verbs|up|hub [--all] [--only PATTERN] [--jobs N] [--report FILE]

First the scenarios are played without a fault, and every call site is listed: a function that can
fail, called from a line of ours or, for us, by a library (errno_shim.c). Then they are played once
more for each call site, in which one call fails. Passes if, each time: no sanitizer said a word,
nothing died by a signal or hung, a program that ended did so with an exit code that is documented
and a line that names the cause, no descriptor leaked where it went on, and in the end, the fault
being over, the invariants hold and nothing is left. Where a call is made often, one in the middle
fails, too.

--all: every call site, with each errno that its call can fail with. Otherwise a sample of the sites
with one errno each, chosen by what a site is called: the same until the code around it changes.
What is left out, and why, is in errno_exempt.txt.
"""

import argparse
import collections
import ctypes
import errno
import fnmatch
import json
import multiprocessing
import os
import queue
import sys
import time
import traceback
import typing
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), name) for name in ("integration",
                                                                       "conformance")]

from errno_daemon import Day, Furnished, Morning, Switched  # noqa: E402
from errno_hub import Keys, Shift  # noqa: E402
from errno_links import Outward, Secure  # noqa: E402
from errno_up import Evening, Again  # noqa: E402
from errno_verbs import (Ask, Cancel, Check, Config, Drain, Sandbox, Status)  # noqa: E402
from errno_warm import Warm  # noqa: E402
from daemonkit import Account, assert_nothing_left  # noqa: E402
from errnokit import Shim, Symbols  # noqa: E402
from errnotable import Exemptions, errnos_of, unknown_functions  # noqa: E402
from hubkit import program  # noqa: E402
from processes import PR_SET_CHILD_SUBREAPER  # noqa: E402

LISTER = -1        # of the players, who lists the call sites
END_S = 60         # for what a scenario started to end, on a busy machine too
SAY_S = 60         # between words about how far it is
OFTEN = 8          # calls of a site: then one in the middle fails, too
PASSING_MAX = 5    # places of a small sample that come and go, as those that timers call
ABORTS = "out of memory, aborting"  # mem.c: by design, as a restart recovers
MEMORY = {"malloc", "calloc", "realloc", "strdup", "vasprintf"}
WORDS = {  # what a line that names the cause may say, besides strerror(3)
    errno.ENOSPC: ["full", "no space left"],
    errno.EIO: ["I/O error", "Input/output error"],
    errno.ENOMEM: ["out of memory", "Out of memory", "no memory"],
    errno.EMFILE: ["open files"],
}
LIBRARY_PATH = os.path.join(os.environ.get("NAIRID_BUILD", "."), "tests", "liberrno_shim.so")


class Kind(typing.NamedTuple):
    """Scenarios of one program."""

    PROGRAM: str
    SCENARIOS: tuple
    SAMPLE: tuple      # one in so many: of our own calls, of libraries', of requests for memory
    KNOWN: tuple = ()  # scenarios of another kind, which fail the same places already


KIND = {
    "daemon": Kind("nairid", (Day, Morning, Secure, Outward, Furnished, Switched, Warm), (6, 8, 64)),
    "verbs": Kind("nairid", (Config, Status, Cancel, Drain, Ask, Check, Sandbox), (2, 4, 24),
                  (Day, Outward)),
    "up": Kind("nairid", (Evening, Again), (6, 8, 48), (Day,)),
    "hub": Kind("nairi-hub", (Shift, Keys), (2, 4, 24)),
}


def digest(site):
    return zlib.crc32(str(site).encode())


class Run:
    """One call that is to fail."""

    def __init__(self, scenario, site, error, nth):
        self.scenario = scenario
        self.site = site
        self.error = error
        self.nth = nth

    def __str__(self):
        nth = f" (call {self.nth})" if self.nth > 1 else ""
        name = errno.errorcode.get(self.error, str(self.error))
        return f"{self.scenario.__name__} {self.site} {name}{nth}"


def is_policy(run, code):
    """A limit of namespaces that is reached looks like one that the operator has set to 0, and a
    process 1 that can't say a word like one that the machine doesn't let begin."""
    site = run.site
    return code == os.EX_CONFIG and (site.name == "clone3" and run.error == errno.ENOSPC or
                                     site.name == "send" and site.role.startswith("nairid-init"))


class Player:
    """Plays scenarios, each in a folder of its own."""

    def __init__(self, number, kind, exemptions):
        self.exemptions = exemptions
        self.account = Account("root" if os.getuid() == 0 else "user")
        self.kind = kind
        self.number = number
        self.played = 0
        self.shim = Shim(self.account.folder, kind.PROGRAM, LIBRARY_PATH, self.account.uid)
        self.env = dict(self.shim.environ(), ASAN_OPTIONS="exitcode=99:verify_asan_link_order=0")
        self.scenarios = kind.SCENARIOS + (kind.KNOWN if number == LISTER else ())
        for scenario in self.scenarios:
            scenario.make(self.account, f"{scenario.__name__}-{number}")
        self.kept = [pid for scenario in self.scenarios for pid in scenario.kept()]

    def done(self):
        for scenario in self.scenarios:
            scenario.unmake()
        self.account.done()

    def life(self, scenario):
        self.played += 1
        life = scenario(self.account, f"run-{self.number}-{self.played}")
        life.shim = self.shim
        return life

    def list(self, scenario):
        """Without a fault; returns (sites, descriptors in the end)."""
        self.shim.list()
        life = self.life(scenario)
        try:
            life.play(self.env)
            assert set(life.codes) == {0} and life.is_done(), f"exit {life.codes}\n{life.log}"
            assert not life.check(), life.check()
        finally:
            life.done()
        symbols = Symbols(program(self.kind.PROGRAM), os.path.dirname(os.path.dirname(HERE)))
        return self.shim.sites(symbols), life.fds

    def run(self, run, fds):
        """Returns what happened: a dictionary, whose "fault" is what is wrong, or None."""
        self.shim.order(run.site, run.error, run.nth)
        life = self.life(run.scenario)
        began = time.monotonic()
        result = {"run": str(run), "fired": False, "fault": None, "exit": None, "mended": False}
        try:
            went_on = life.play(self.env, fds)
            log, codes = life.log, list(life.codes)
            result.update(exit=codes, went_on=went_on, fired=bool(self.shim.fired()))
            result["mended"] = life.mend()
            result["errors"] = life.check()
            result["refused"] = life.refused
            assert_nothing_left(self.kept, END_S)
            self.judge(run, life, log, result)
        except Exception as failure:  # whatever it is, it is this run's result
            result["fired"] = bool(self.shim.fired())
            result["fault"] = "".join(traceback.format_exception_only(failure)) + \
                "".join(traceback.format_tb(failure.__traceback__)[-2:])
        finally:
            result["log"] = life.log
            result["took_s"] = round(time.monotonic() - began, 2)
            life.done()
            assert_nothing_left(self.kept, END_S)
        return result

    def comes_to(self, run):
        """Whether a play without a fault, once more, comes to the place at all."""
        sites, _ = self.list(run.scenario)
        return str(run.site) in {str(site) for site in sites}

    def run_surely(self, run, fds):
        """As run(); once more where it didn't come to the place, which may hang on timing."""
        result = self.run(run, fds)
        if not result["fired"] and result["fault"] is None:
            result = self.run(run, fds)
        result["passing"] = False
        if not result["fired"] and result["fault"] is None:
            result["passing"] = not self.comes_to(run)
        return result

    def judge(self, run, life, log, result):
        for code in result["exit"]:
            if code < 0:
                assert run.site.name in MEMORY and ABORTS in log, f"signal {-code}\n{log}"
            else:
                assert code in life.EXITS or is_policy(run, code), f"exit {code}\n{log}"
        has_failed = any(code > 0 for code in result["exit"]) or result["refused"]
        if has_failed and not self.exemptions.is_mute(run.site):
            words = [os.strerror(abs(run.error)), *WORDS.get(run.error, [])]
            assert any(word in log for word in words), f"no line says {words}\n{log}"
        # libev takes a pipe instead; and a server that is told EAGAIN at the end of a connection,
        # which no kernel does, hears of that end only by its deadline
        if run.site.name != "eventfd" and run.error != errno.EAGAIN:
            assert not life.more_fds, f"descriptors leaked: {life.more_fds}\n{log}"


# what there is to run


def share(kind, site):
    """The sample holds one in so many of such sites."""
    return kind.SAMPLE[2 if site.name in MEMORY else 1 if site.library else 0]


def plan(kind, listed, known, everything, exemptions):
    """The runs for the sites of each scenario, and how many sites were left out by reason."""
    runs, left_out, seen = [], collections.Counter(), set()
    for scenario, sites in listed.items():
        for site in sites:
            key = str(site)
            if key in seen and site.role not in scenario.OWN:
                continue
            seen.add(key)
            errnos = errnos_of(site)
            reason = exemptions.reason(site) if errnos else "can't fail so"
            if not reason and key in known:
                reason = "fails with the daemon's"
            if not reason and not everything and digest(site) % share(kind, site):
                reason = "not in the sample"
            if reason:
                left_out[reason] += 1
                continue
            more = [Run(scenario, site, error, nth) for error in errnos
                    for nth in ([1, site.count // 2] if site.count >= OFTEN else [1])]
            runs += more if everything else [more[digest(site) // share(kind, site) % len(more)]]
    return runs, left_out, len(seen)


def work(number, kind, exemptions, scenarios, runs, todo, done):
    """One of several processes that play; each has its own orphans."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    player = Player(number, kind, exemptions)
    try:
        while True:
            try:
                i = todo.get_nowait()
            except queue.Empty:
                return
            done.put((i, player.run_surely(runs[i], scenarios[runs[i].scenario])))
    finally:
        player.done()
        done.put(None)


def play_all(kind, exemptions, scenarios, runs, jobs):
    todo, done = multiprocessing.Queue(), multiprocessing.Queue()
    for i in range(len(runs)):
        todo.put(i)
    workers = [multiprocessing.Process(target=work,
                                       args=(n, kind, exemptions, scenarios, runs, todo,
                                             done))
               for n in range(jobs)]
    for worker in workers:
        worker.start()
    results, ended, said = {}, 0, time.monotonic()
    while ended < jobs:
        item = done.get()
        if time.monotonic() - said > SAY_S:
            said = time.monotonic()
            print(f"{len(results)} of {len(runs)} runs", flush=True)
        if item is None:
            ended += 1
            continue
        results[item[0]] = item[1]
        if item[1]["fault"]:
            print(f"FAULT {item[1]['run']}\n{item[1]['fault']}", flush=True)
    for worker in workers:
        worker.join()
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=sorted(KIND))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="*")
    parser.add_argument("--jobs", type=int, default=2 * os.cpu_count())
    parser.add_argument("--report")
    args = parser.parse_args()
    kind = KIND[args.kind]
    began = time.monotonic()

    unknown = unknown_functions(program(kind.PROGRAM), LIBRARY_PATH)
    assert not unknown, f"neither in errno_shim.c nor harmless in errnotable.py: {unknown}"
    exemptions = Exemptions(os.path.join(HERE, "errno_exempt.txt"))
    player = Player(LISTER, kind, exemptions)
    listed, fds = {}, {}
    try:
        for scenario in kind.SCENARIOS:
            listed[scenario], fds[scenario] = player.list(scenario)
        known = {str(site) for scenario in kind.KNOWN for site in player.list(scenario)[0]
                 if not args.all or site.role != kind.PROGRAM}
    finally:
        player.done()
    runs, left_out, count = plan(kind, listed, known, args.all, exemptions)
    runs = [run for run in runs if fnmatch.fnmatchcase(str(run), args.only)]
    print(f"{count} call sites, {len(runs)} runs; {dict(left_out)}", flush=True)
    results = play_all(kind, exemptions, fds, runs, args.jobs)
    if args.report:
        with open(args.report, "w") as file:
            json.dump([results[i] for i in sorted(results)], file, indent=1)

    faults = [result for result in results.values() if result["fault"]]
    unmet = [result for result in results.values() if not result["fired"]]
    passing = [result["run"] for result in unmet if result["passing"]]
    missed = [result["run"] for result in unmet if not result["passing"]]
    ended = sum(1 for result in results.values() if result.get("went_on") is False)
    for name in missed:
        print(f"not met: {name}")
    for name in passing:
        print(f"comes and goes: {name}")
    print(f"report: errno injection, {args.kind}: {count} call sites, {len(results)} runs, "
          f"{len(missed)} not met, {len(passing)} come and go, {ended} ended the program, "
          f"{len(faults)} faults; "
          f"{time.monotonic() - began:.0f} s")
    too_many = (len(missed) * 50 > len(runs) or
                len(passing) > max(PASSING_MAX, len(runs) // 50))
    return 1 if faults or len(results) < len(runs) or too_many else 0


if __name__ == "__main__":
    sys.exit(main())
