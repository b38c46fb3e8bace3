#!/bin/bash
# test_record.sh BUILD: fuzz/record makes seeds, from a test that starts programs of all kinds, which
# the fuzz targets of that build take.
set -euo pipefail
cmake --build "$1" --target recordings >/dev/null
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/record" --run fuzz/traffic.py --run integration/test_ask.py --to "$folder" "$1"
for target in agentkey answer clientenv clienthello control_request ending envelope flags hub_body \
    hub_database hub_http ipc journal json listing mask plan policy publicapi request_head settings \
    treewipe verdict ward; do
    ls "$folder/$target"/recorded-* >/dev/null || { echo "no seed of $target was made"; exit 1; }
    "$1/tests/fuzz_$target" "$folder/$target" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
done
