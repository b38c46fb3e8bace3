#!/bin/bash
# test_replay.sh SIM OTHER: a schedule that fails is printed with a command that replays it, to the
# same finding; and a seed gives the same trace each time, whatever the program was built with.
set -euo pipefail
sim=$1 other=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if "$sim" --seeds 10000 --break forget-attempt >"$work/many"; then
    echo "no schedule failed" >&2
    exit 1
fi
grep '^seed .* breaks at' "$work/many" >"$work/finding"
command=$(sed -n 's/^replay with: //p' "$work/many")
if $command >"$work/one"; then
    echo "'$command' found nothing" >&2
    exit 1
fi
grep '^seed .* breaks at' "$work/one" | cmp - "$work/finding"
grep -q 'BROKEN' "$work/one"
# the lines that were printed with the finding are the end of the same trace
sed '1,/^the last lines of its trace:$/d' "$work/many" >"$work/tail"
grep -v '^seed .* breaks at\|^replay with:' "$work/one" | tail -n "$(wc -l <"$work/tail")" |
    cmp - "$work/tail"

for seed in 7 8 9 18446744073709551615; do
    "$sim" --seed $seed >"$work/first"
    "$sim" --seed $seed | cmp - "$work/first"
    "$other" --seed $seed | cmp - "$work/first"
    [ "$(wc -l <"$work/first")" -gt 20 ]
done
echo "a seed is its schedule"
