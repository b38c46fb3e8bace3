#!/bin/bash
# test_record.sh BUILD: fuzz/record makes seeds, from tests that start programs of all kinds, which
# the fuzz targets of that build take.
set -euo pipefail
cmake --build "$1" --target recordings >/dev/null
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/record" --run fuzz/traffic.py --run integration/test_ask.py --to "$folder" "$1"
targets=(agentkey answer clientenv control_request ending envelope flags hub_body hub_database
    hub_http ipc journal json listing mask plan policy publicapi settings treewipe verdict ward)
if [ "$(id -u)" = 0 ]; then
    targets+=(clienthello request_head) # a name server of the test's own takes root
fi
for target in "${targets[@]}"; do
    ls "$folder/$target"/recorded-* >/dev/null || { echo "no seed of $target was made"; exit 1; }
    "$1/tests/fuzz_$target" "$folder/$target" >"$folder/said" 2>&1 || { cat "$folder/said"; exit 1; }
done
