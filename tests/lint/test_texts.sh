#!/bin/bash
# Plants what texts.sh looks for in a small tree, a line at a time, and shows that each is found;
# and that what only looks like it isn't.
set -euo pipefail
lint=$(cd "$(dirname "$0")" && pwd)/texts.sh
tree=$(mktemp -d)
trap 'rm -r "$tree"' EXIT
mkdir -p "$tree/daemon/util" "$tree/tests/unit" "$tree/build/x"
failures=0
fail() {
    echo "FAILED: $1"
    failures=$((failures + 1))
}
found() { # FILE LINE
    local said status=0
    printf 'first line\n%s\n' "$2" >"$tree/$1"
    said=$("$lint" "$tree" 2>&1) || status=$?
    [ $status = 1 ] && [[ $said == "$1:2:"* ]] || fail "$1: '$2' (exit $status, '$said')"
    rm "$tree/$1"
}
passed() { # FILE LINE
    local said
    printf '%s\n' "$2" >"$tree/$1"
    said=$("$lint" "$tree" 2>&1) || fail "$1: '$2' isn't bad: $said"
    rm "$tree/$1"
}

found daemon/util/a.c 'open("/wo''rk/main/x")'
found packaging.sh 'cd /work'
passed daemon/util/a.c '#define PLAN_WORKSPACE "/workspace"'
passed daemon/util/a.c '#include "loop/worker.h"'
passed config.yaml 'argv: [/opt/work.py, /opt/helper/work/x]'
passed build/x/a.c '/wo''rk/main/x'
found README.md 'https://registry.npm''js.org/x'
found packaging.sh 'curl https://py''pi.org/simple'
found daemon/util/a.c '"docker.io/library/debian"'
passed daemon/util/a.c '#include <stdio.h> /* https://api.nairi.ai */'
found daemon/util/a.c '/* see issue 12 */'
found README.md 'Issue #3'
found daemon/util/a.c '/* TODO: later */'
found tests/unit/a.py '# FIXME'
found daemon/util/a.h '// XXX'
passed daemon/util/a.c 'char name[] = "x.XXXXXX"; int TODO_LIST;'
found tests/unit/a.c '    (void)usleep(1000);'
found tests/unit/a.c '    sleep(1);'
found tests/unit/a.py '    time.sleep(0.1)'
found tests/unit/a.py 'from time import monotonic, sleep'
found tests/unit/a.sh 'sleep 1'
found tests/unit/a.sh 'while :; do sleep 1; done'
passed tests/unit/a.py '    time.sleep(0.01)  # poll: the kernel has no event for it'
passed tests/unit/a.c '    (void)usleep(1000); /* poll until the deadline */'
passed tests/unit/a.py '    time.sleep(0.1)  # nap: nothing shows when it is there'
passed tests/unit/a.py $'    # nap: nothing shows when it is there\n    time.sleep(0.1)'
found tests/unit/a.py '    time.sleep(0.1)  # a little pause'
passed tests/unit/a.py 'prompt = "sleep 1000 & echo quick"'
passed tests/unit/a.c 'test_sleep(); oversleep(3);'
passed daemon/util/a.c 'sleep(1);'

[ $failures = 0 ] && echo "everything planted is found"
exit $((failures > 0))
