#!/bin/bash
# test_run.sh: tests/fuzz/run with programs that only look like fuzzers: a table line each, and what
# one finds fails the run and is shown with the command that shows it again.
set -euo pipefail
run=$(cd "$(dirname "$0")" && pwd)/run
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
mkdir "$build/tests"

fake() { # NAME, its program on standard input
    { echo '#!/bin/bash' && cat; } >"$build/tests/fuzz_$1"
    chmod +x "$build/tests/fuzz_$1"
}
fail() {
    echo "test_run: $1" >&2
    cat "$build/out" >&2
    exit 1
}
fake good <<'X'
echo '#77 DONE   cov: 12 ft: 20 corp: 3/9b'
echo 'stat::number_of_executed_units: 77'
echo 'stat::average_exec_per_sec: 7'
X
fake bad <<'X'
for argument; do
    case $argument in
    -artifact_prefix=*) echo x >"${argument#*=}crash-1" ;;
    esac
done
echo 'fuzz_bad.c:7: it holds'
exit 77
X

"$run" --seconds 2 "$build" good >"$build/out" 2>&1 || fail "a good run failed"
grep -Eq '^good +77 +7/s +12 edges +0 cached +ok$' "$build/out" || fail "no line for it"

code=0
"$run" --seconds 2 "$build" >"$build/out" 2>&1 || code=$?
[ $code = 1 ] || fail "a finding gave exit code $code"
grep -Eq '^good .* ok$' "$build/out" || fail "the good one has no line beside it"
grep -Eq '^bad .* FAILED$' "$build/out" || fail "the bad one isn't named"
grep -q 'fuzz_bad.c:7: it holds' "$build/out" || fail "its words are missing"
grep -qF "$build/tests/fuzz_bad $build/fuzz/bad/found/crash-1" "$build/out" ||
    fail "the command is missing"
[ -s "$build/fuzz/bad/found/crash-1" ] || fail "the input is gone"

rm "$build/tests/fuzz_bad" "$build/tests/fuzz_good"
! "$run" "$build" >"$build/out" 2>&1 || fail "no fuzzer at all is fine to it"
