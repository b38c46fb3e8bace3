#!/bin/bash
# Plants a violation of each kind in a small tree and shows that layers.sh reports it, and nothing
# else, by file and line.
set -euo pipefail
lint=$(cd "$(dirname "$0")" && pwd)/layers.sh
tree=$(mktemp -d)
trap 'rm -r "$tree"' EXIT

put() { # FILE LINE...
    mkdir -p "$tree/daemon/$(dirname "$1")"
    printf '%s\n' "${@:2}" >"$tree/daemon/$1"
}
sound() { # a tree without a fault
    rm -rf "$tree/daemon"
    for noun in util/err settings/settings task/task queue/queue store/store upstream/upstream \
        loop/loop net/http sandbox/plan spawner/spawner hub/hub main/wire runner/runner; do
        put "$noun.h" '#pragma once'
        put "$noun.c" "#include \"$noun.h\"" '' '#include <stdio.h>' '' '#include "util/err.h"'
    done
    put loop/loop.c '#include "loop/loop.h"' '#include <ev.h>'
    put util/json.c '#include <cJSON.h>' # without a header of its own
    put main/wire.c '#include "main/wire.h"' '#include "store/store.h"' '#include "upstream/upstream.h"'
    put store/store.c '#include "store/store.h"' '#include <sqlite3.h>' '#include "task/task.h"'
    put task/task.h '#pragma once' '#include "settings/settings.h"'
    put hub/hub.c '#include "hub/hub.h"' '#include <microhttpd.h>' '#include "settings/settings.h"'
}
failures=0
fail() {
    echo "FAILED: $1"
    failures=$((failures + 1))
}
finds() { # WHAT PLACE [PLACE...]: the lint fails with a line that begins with each place, and no other
    local said status=0 place
    said=$("$lint" "$tree" 2>&1) || status=$?
    [ $status = 1 ] || fail "$1: exit $status"
    for place in "${@:2}"; do
        grep -q "^daemon/$place: " <<<"$said" || fail "$1: no '$place' in: $said"
    done
    [ "$(wc -l <<<"$said")" = $(($# - 1)) ] || fail "$1: $said"
    sound
}

sound
"$lint" "$tree" || fail "a sound tree"

put task/task.c '#include "task/task.h"' '' '#include "store/store.h"'
finds "core includes shell" task/task.c:3
put util/err.h '#pragma once' '#include "queue/queue.h"'
finds "util includes core" util/err.h:2
put upstream/upstream.c '#include "upstream/upstream.h"' '#include "store/store.h"'
finds "shell includes another shell" upstream/upstream.c:2
put hub/hub.c '#include "hub/hub.h"' '#include "task/task.h"'
finds "the hub includes the daemon" hub/hub.c:2
put main/wire.c '#include "main/wire.h"' '#include "hub/hub.h"'
finds "the daemon includes the hub" main/wire.c:2
put net/http.c '#include "net/http.h"' '#include "main/wire.h"'
finds "a folder includes main" net/http.c:2
put runner/runner.c '#include "runner/runner.h"' '#include "spawner/spawner.h"'
finds "a runner knows of processes" runner/runner.c:2

for header in sqlite3.h seccomp.h curl/curl.h ev.h yaml.h cJSON.h cjson/cJSON.h microhttpd.h \
    linux/landlock.h systemd/sd-daemon.h; do
    put queue/queue.c '#include "queue/queue.h"' '' "#include <$header>"
    finds "<$header> away from home" queue/queue.c:3
done
put queue/queue.h '#pragma once' '  #  include   <sqlite3.h> /* for rowid */'
finds "odd spacing" queue/queue.h:2
put queue/queue.c '#include "queue/queue.h"' '#include <store/store.h>'
finds "ours in angle brackets" queue/queue.c:2
put queue/queue.c '#include "queue/queue.h"' '#include "queue.h"'
finds "not written from daemon/" queue/queue.c:2
put queue/queue.c '#include "queue/queue.h"' '#include "../queue/queue.h"' '#include "gone/gone.h"'
finds "files that aren't there" queue/queue.c:2 queue/queue.c:3
put queue/queue.c '#include "queue/queue.h"' '#include HEADER'
finds "a macro as a name" queue/queue.c:2
put queue/queue.c '#include <stdio.h>' '#include "queue/queue.h"'
finds "its own header isn't first" queue/queue.c:1
put queue/queue.c '' '/* what it is */' '#include "util/err.h"'
finds "its own header isn't there" queue/queue.c:3
put misc/misc.c '#include "util/err.h"'
finds "a folder of no layer" misc/misc.c:1
put settings/settings.c '#include "settings/settings.h"' '#include "task/task.h"'
finds "a circle of two" settings/settings.c:2 task/task.h:2
put settings/settings.c '#include "settings/settings.h"' '#include "queue/queue.h"'
put queue/queue.c '#include "queue/queue.h"' '#include "task/task.h"'
finds "a circle of three" settings/settings.c:2 queue/queue.c:2 task/task.h:2
put hub/task.c '#include <stdio.h>'
finds "a noun that is taken" task/task
put queue/queue.h '#pragma once' 'void queue_push(int n);' 'int queue(void);' 'char *item_text(int n);' \
    '/* item_old(1) */' 'typedef void (*queue_fn)(int n);' '    int item_more(int n);'
finds "a function of another noun" queue/queue.h:4
put queue/err.h '#pragma once'
put store/err.c '#include "util/err.h"'
finds "a noun that is taken twice" store/err util/err
rm -r "$tree/daemon"
mkdir "$tree/daemon"
"$lint" "$tree" >/dev/null && fail "an empty tree passes"

[ $failures = 0 ] && echo "every violation is found"
exit $((failures > 0))
