#!/bin/bash
# layers.sh SOURCE: no #include in daemon/ crosses a layer, and each foreign header has one home.
# The tables are those of the architecture: core folders see core and util, shell folders see core,
# util, loop, net and sandbox, the hub sees nothing of the daemon, main wires everything.
set -euo pipefail
cd "$1/daemon"

core="settings task queue runner core"
base="util $core loop net sandbox"
declare -A may=(
    [util]=""
    [settings]="util $core" [task]="util $core" [queue]="util $core" [runner]="util $core"
    [core]="util $core"
    [loop]="util" [net]="util loop" [sandbox]="$base"
    [upstream]="$base" [store]="$base" [spawner]="$base" [egress]="$base" [workspace]="$base"
    [control]="$base"
    [hub]="util settings loop"
)
declare -A home=(
    [ev.h]="loop" [curl/]="net" [sqlite3.h]="store hub" [seccomp.h]="sandbox" [microhttpd.h]="hub"
    [yaml.h]="settings" [cjson/]="util" [linux/landlock.h]="sandbox" [systemd/]="main"
)

bad=0
complain() {
    echo "$1"
    bad=1
}
while IFS=: read -r file line text; do
    folder=${file%%/*}
    if [[ $text =~ ^[[:space:]]*#[[:space:]]*include[[:space:]]*\"([^\"]+)\" ]]; then
        target=${BASH_REMATCH[1]}
        if [ ! -f "$target" ]; then
            complain "$file:$line: \"$target\" is not written from daemon/"
        elif [ "$folder" != main ]; then
            [ "${may[$folder]+known}" ] ||
                { complain "$file:$line: folder '$folder' has no row in layers.sh" && continue; }
            [[ " ${may[$folder]} $folder " == *" ${target%%/*} "* ]] ||
                complain "$file:$line: '$folder' may not include \"$target\""
        fi
    elif [[ $text =~ include[[:space:]]*\<([^>]+)\> ]]; then
        for header in "${!home[@]}"; do
            [[ ${BASH_REMATCH[1]} != "$header"* ]] || [[ " ${home[$header]} " == *" $folder "* ]] ||
                complain "$file:$line: <${BASH_REMATCH[1]}> belongs to: ${home[$header]}"
        done
    fi
done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' .  | sed 's|^\./||')
[ -n "$(find . -name '*.c' -print -quit)" ] || complain "no source found in $PWD"
exit $bad
