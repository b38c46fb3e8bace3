"""tests/support/summary.py: what counts, and which skips pass."""

import os
import subprocess

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def judge(tmp_path):
    """judge(ctest=[cases], NAME=[cases]) returns (exit code, last line, everything printed)."""
    skips = tmp_path / "skips.txt"
    skips.write_text("# reasons\nneeds root\nno .* here\n")

    def run(ctest=(), failed=0, again=None, **pytests):
        folder = tmp_path / "junit"
        folder.mkdir(exist_ok=True)
        files = {"ctest": ctest, **{f"pytest-{k}": v for k, v in pytests.items()}}
        if again is not None:
            files["again"] = again
        for name, cases in files.items():
            text = "".join(cases)
            (folder / f"{name}.xml").write_text(f"<testsuite>{text}</testsuite>")
        done = subprocess.run(["/usr/bin/python3", os.path.join(TESTS, "support", "summary.py"),
                               "--skips", skips, "--failed", str(failed), folder],
                              capture_output=True, text=True, timeout=60)
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()[-1], done.stdout

    return run


def ctest_case(name, status="run", output="", extra=""):
    return (f'<testcase name="{name}" status="{status}">{extra}'
            f"<system-out>{output}</system-out></testcase>")


def pytest_case(name, inside=""):
    return f'<testcase classname="module" name="{name}">{inside}</testcase>'


def test_everything_passed(judge):
    code, line, _ = judge(ctest=[ctest_case("a"), ctest_case("b")])
    assert (code, line) == (0, "2 passed, 0 failed")


def test_a_failure_fails(judge):
    code, line, _ = judge(ctest=[ctest_case("a"), ctest_case("b", "fail")])
    assert (code, line) == (1, "1 passed, 1 failed")


def test_what_passes_when_run_again_is_counted_once_and_named(judge):
    code, line, printed = judge(ctest=[ctest_case("a"), ctest_case("b", "fail")],
                                again=[ctest_case("b")])
    assert (code, line) == (0, "2 passed, 0 failed")
    assert "unsteady: b failed at first, passed alone" in printed


def test_what_fails_again_fails(judge):
    code, line, printed = judge(ctest=[ctest_case("a"), ctest_case("b", "fail")],
                                again=[ctest_case("b", "fail")])
    assert (code, line) == (1, "1 passed, 1 failed")
    assert "unsteady" not in printed


def test_a_pytest_file_that_passes_when_run_again_counts_by_its_cases(judge):
    code, line, printed = judge(ctest=[ctest_case("x/y", "fail")], again=[ctest_case("x/y")],
                                **{"x--y": [pytest_case("one"), pytest_case("two")]})
    assert (code, line) == (0, "2 passed, 0 failed")
    assert "unsteady: x/y" in printed


def test_a_failure_elsewhere_fails(judge):
    code, line, _ = judge(ctest=[ctest_case("a")], failed=1)
    assert (code, line) == (1, "1 passed, 1 failed")


def test_nothing_at_all_fails(judge):
    assert judge()[0] == 1


def test_pytest_is_counted_by_case_and_not_once_more(judge):
    code, line, _ = judge(ctest=[ctest_case("x/y"), ctest_case("a")],
                          **{"x--y": [pytest_case("one"), pytest_case("two")]})
    assert (code, line) == (0, "3 passed, 0 failed")


def test_a_case_that_fails_twice_counts_once(judge):
    twice = [pytest_case("one", '<failure message=""/>'), pytest_case("one", '<error message=""/>')]
    code, line, _ = judge(ctest=[ctest_case("x", "fail")], x=[*twice, pytest_case("two")])
    assert (code, line) == (1, "1 passed, 1 failed")


def test_a_crash_of_pytest_counts(judge):
    code, line, _ = judge(ctest=[ctest_case("x", "fail")], x=[pytest_case("one")])
    assert (code, line) == (1, "1 passed, 1 failed")


@pytest.mark.parametrize("reason, leave", [("needs root", True), ("no cgroups here", True),
                                           ("needs root and luck", False), ("", False)])
def test_a_skip_wants_a_reason_from_the_list(judge, reason, leave):
    said = f"skip: {reason}\n" if reason else ""
    skipped = ctest_case("a", "notrun", said, '<skipped message="SKIP_RETURN_CODE=77"/>')
    code, line, text = judge(ctest=[skipped, ctest_case("b")])
    assert code == (0 if leave else 1)
    assert line == f"1 passed, {0 if leave else 1} failed, 1 skipped"
    assert ("WITHOUT LEAVE" in text) == (not leave)


def test_a_skip_of_pytest_is_judged_too(judge):
    case = pytest_case("one", '<skipped type="pytest.skip" message="the moon is full"/>')
    code, line, _ = judge(ctest=[ctest_case("x"), ctest_case("b")], x=[case])
    assert (code, line) == (1, "1 passed, 1 failed, 1 skipped")


def test_a_skip_inside_a_unit_test_is_judged_too(judge):
    output = "skip: needs root\n[  SKIPPED ] it_does\n[  SKIPPED ] 1 test(s).\n"
    code, line, _ = judge(ctest=[ctest_case("a", output=output)])
    assert (code, line) == (0, "1 passed, 0 failed, 1 skipped")
    code, line, _ = judge(ctest=[ctest_case("a", output="[  SKIPPED ] it_does\n")])
    assert (code, line) == (1, "1 passed, 1 failed, 1 skipped")


def test_what_a_test_reports_is_shown(judge):
    assert "42 of them\n" in judge(ctest=[ctest_case("a", output="x\nreport: 42 of them\n")])[2]
