"""Counts what ctest and pytest left in a folder of JUnit files, and judges the skips.

Prints each failure and each skip by name, then one line "N passed, N failed[, N skipped]".
Exit code 1 if anything failed, was skipped for a reason that isn't allowed, or if there is nothing.
A ctest test that ran pytest is counted by its cases, not once more as itself. again.xml, if it is
there, is of the tests that failed and were run once more: what passed then is called unsteady.
"""
import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

# cmocka's skip() leaves no reason: the test prints one before it.
CMOCKA_SKIP = re.compile(r"^\[  SKIPPED \] (?!\d+ test)(\S+)", re.MULTILINE)
REPORT = re.compile(r"^report: (.+)$", re.MULTILINE)  # what a test wants to be read
REASON = re.compile(r"^skip: (.+)$", re.MULTILINE)


class Result:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []  # (name, reason)
        self.reports = []


def child_text(case, tag):
    node = case.find(tag)
    if node is None:
        return None
    return (node.get("message") or "") + "\n" + (node.text or "")


def read_pytest(path, result):
    """Returns how many of the file's cases did not pass."""
    bad = 0
    cases = {}  # a case that fails and whose fixtures then fail too is there twice
    for case in ElementTree.parse(path).iter("testcase"):
        cases.setdefault(f"{case.get('classname')}.{case.get('name')}", []).append(case)
    for name, parts in cases.items():
        skipped = [part.find("skipped") for part in parts if part.find("skipped") is not None]
        if any(part.find(tag) is not None for part in parts for tag in ("failure", "error")):
            result.failed.append(name)
            bad += 1
        elif skipped:
            result.skipped.append((name, skipped[0].get("message") or "no reason given"))
        else:
            result.passed += 1
    if not cases:
        result.failed.append(f"{path.name}: pytest found no test in it")
        bad += 1
    return bad


def has_failed(case):
    return case.get("status") == "fail" or case.find("failure") is not None


def read_ctest(folder, wrapped, result):
    """wrapped: for each ctest test that ran pytest, how many of its cases did not pass."""
    cases = {case.get("name"): case
             for case in ElementTree.parse(folder / "ctest.xml").iter("testcase")}
    if not cases:
        result.failed.append("ctest: it ran no test")
    if (folder / "again.xml").exists():
        for case in ElementTree.parse(folder / "again.xml").iter("testcase"):
            cases[case.get("name")] = case
            if not has_failed(case):
                result.reports.append(f"unsteady: {case.get('name')} failed at first, passed alone")
    for name, case in cases.items():
        output = child_text(case, "system-out") or ""
        result.reports += REPORT.findall(output)
        if name in wrapped:
            # pytest's cases are counted already; what only ctest saw (a time limit, a crash) isn't
            if has_failed(case) and not wrapped[name]:
                result.failed.append(f"{name} (pytest itself)")
            continue
        if case.get("status") == "run":
            result.passed += 1
        elif has_failed(case):
            result.failed.append(name)
        else:
            reasons = REASON.findall(output)
            result.skipped.append((name, reasons[0] if reasons else "no reason given"))
            continue
        reasons = REASON.findall(output)
        # said once where it happens, and once more in a list at the end
        for i, test in enumerate(dict.fromkeys(CMOCKA_SKIP.findall(output))):
            reason = reasons[i] if i < len(reasons) else "no reason given"
            result.skipped.append((f"{name}: {test}", reason))


def allowed(reason, patterns):
    return any(pattern.fullmatch(reason.removeprefix("Skipped: ").strip()) for pattern in patterns)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--skips", type=pathlib.Path, required=True)
    parser.add_argument("--failed", type=int, default=0, help="failures that no file tells of")
    args = parser.parse_args()

    lines = args.skips.read_text().splitlines()
    patterns = [re.compile(line) for line in lines if line and not line.startswith("#")]
    result = Result()
    wrapped = {}
    for path in sorted(args.folder.glob("pytest-*.xml")):
        name = path.stem.removeprefix("pytest-").replace("--", "/")
        try:
            wrapped[name] = read_pytest(path, result)
        except ElementTree.ParseError as error:
            result.failed.append(f"{path.name}: {error}")
            wrapped[name] = 1
    try:
        read_ctest(args.folder, wrapped, result)
    except (OSError, ElementTree.ParseError) as error:
        result.failed.append(f"ctest: no result of it ({error})")

    for report in result.reports:
        print(report)
    for name, reason in result.skipped:
        verdict = "skipped" if allowed(reason, patterns) else "SKIPPED WITHOUT LEAVE"
        print(f"{verdict}: {name}: {reason}")
        if verdict != "skipped":
            result.failed.append(name)
    for name in result.failed:
        print(f"failed: {name}")
    failed = len(result.failed) + args.failed
    tail = f", {len(result.skipped)} skipped" if result.skipped else ""
    print(f"{result.passed} passed, {failed} failed{tail}")
    return 1 if failed or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main())
