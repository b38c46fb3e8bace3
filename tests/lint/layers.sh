#!/bin/bash
# layers.sh SOURCE: no #include in daemon/ crosses a layer, each foreign header has one home, a .c
# file includes its own header first, no folders include each other in a circle, no two modules have
# the same name, and what a header declares begins with its module's. The tables are those of the
# architecture: core folders see core and util, shell folders see core, util, loop, net and sandbox,
# the hub sees nothing of the daemon, main wires everything. Prints FILE:LINE of each violation;
# test_layers.sh shows that it finds them.
set -euo pipefail
cd "$1"

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
    [main]="$base upstream store spawner egress workspace control"
)
# by the beginning of what stands between < and >
declare -A home=(
    [ares.h]="egress" [ev.h]="loop" [ev++.h]="loop" [curl/]="net" [openssl/]="net" [sqlite3]="store hub" [seccomp.h]="sandbox"
    [archive]="sandbox hub" [microhttpd.h]="hub" [yaml.h]="settings" [cJSON]="util" [cjson/]="util"
    [uthash.h]="util" [linux/landlock.h]="sandbox" [linux/seccomp.h]="sandbox" [systemd/]="main"
)

bad=0
complain() {
    echo "$1"
    bad=1
}
declare -A edge=()  # "FROM TO" -> where the first such include stands
declare -A first=() # file -> its first include is seen

check_ours() { # FILE LINE TARGET
    local folder=${1#daemon/} target=$3 to=${3%%/*}
    folder=${folder%%/*}
    if [ ! -f "daemon/$target" ]; then
        complain "$1:$2: \"$target\" is no file below daemon/, from where includes are written"
    elif [ ! "${may[$folder]+known}" ]; then
        complain "$1:$2: folder '$folder' has no row in layers.sh"
    elif [ "$to" != "$folder" ]; then
        if [[ " ${may[$folder]} " == *" $to "* ]]; then
            : "${edge[$folder $to]:=$1:$2}"
        else
            complain "$1:$2: '$folder' may not include \"$target\""
        fi
    fi
}

check_foreign() { # FILE LINE TARGET
    local folder=${1#daemon/} header
    folder=${folder%%/*}
    if [ -f "daemon/$3" ]; then
        complain "$1:$2: <$3> is ours: it is written \"$3\""
    fi
    for header in "${!home[@]}"; do
        if [[ $3 == "$header"* && " ${home[$header]} " != *" $folder "* ]]; then
            complain "$1:$2: <$3> belongs to: ${home[$header]}"
        fi
    done
}

while IFS=: read -r file line text; do
    kind=${text//[^\"<]/}
    target=${text#*[\"<]}
    target=${target%%[\">]*}
    if [ ! "${first[$file]+seen}" ]; then
        first[$file]=1
        own=${file%.c}.h
        if [[ $file == *.c && -f $own && "daemon/$target" != "$own" ]]; then
            complain "$file:$line: its own header \"${own#daemon/}\" comes first"
        fi
    fi
    case $kind in
    \"*) check_ours "$file" "$line" "$target" ;;
    \<*) check_foreign "$file" "$line" "$target" ;;
    *) complain "$file:$line: an include that can't be read without a preprocessor" ;;
    esac
done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' daemon | LC_ALL=C sort -t: -k1,1 -k2,2n)

declare -A leads=() # "FROM TO": there is a way
for pair in "${!edge[@]}"; do
    leads[$pair]=1
done
for via in "${!may[@]}"; do
    for from in "${!may[@]}"; do
        [ "${leads[$from $via]+yes}" ] || continue
        for to in "${!may[@]}"; do
            [ ! "${leads[$via $to]+yes}" ] || leads[$from $to]=1
        done
    done
done
for pair in "${!edge[@]}"; do
    if [ "${leads[${pair#* } ${pair% *}]+yes}" ]; then
        complain "${edge[$pair]}: '${pair% *}' includes '${pair#* }', which leads back to '${pair% *}'"
    fi
done

# A module is named by one noun, which stands for one thing in the whole tree: FOLDER/NOUN.[ch].
declare -A owner=() # noun -> its first file, without the ending
while read -r file; do
    noun=${file##*/}
    : "${owner[$noun]:=$file}"
    if [ "${owner[$noun]}" != "$file" ]; then
        complain "$file: '$noun' is a module already: ${owner[$noun]}"
    fi
done < <(find daemon -name '*.[ch]' | sed 's/\.[ch]$//' | LC_ALL=C sort -u)

# And what its header declares begins with that noun. Inner headers have those of their folder.
declare -A also=([core/state]="core intake running outbox link session idle" [hub/db]="query")
while IFS=: read -r file line name; do
    file=${file%.h}
    known=no
    for noun in "${file##*/}" ${also[${file#daemon/}]-}; do
        [[ $name != "$noun" && $name != "$noun"_* ]] || known=yes
    done
    [ $known = yes ] || complain "$file.h:$line: '$name' doesn't begin with the module's noun"
done < <(grep -rnE '^[a-z][a-z0-9_ *]*[ *][a-z0-9_]+\(' --include='*.h' daemon | grep -v ':typedef ' |
    sed -E 's/^([^:]*:[0-9]+:)[a-z][a-z0-9_ *]*[ *]([a-z0-9_]+)\(.*/\1\2/')

[ -n "$(find daemon -name '*.c' -print -quit)" ] || complain "no source found in $PWD/daemon"
exit $bad
