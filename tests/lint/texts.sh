#!/bin/bash
# texts.sh SOURCE: what no file may hold: places of one machine, hosts of package registries (what
# is needed comes from the distribution), numbers of issues, work left undone; and in tests no wait
# for a fixed time. A test waits for an event with a deadline. Where it can only look again and
# again, a comment on the line says "poll"; where nothing shows from outside that it is time, a
# comment there or just above gives the reason after "nap:". Prints FILE:LINE of each find.
set -euo pipefail
cd "$1"

bad=0
# This file and its test hold examples of it all.
finds() { # WHAT PATTERN [GREP-OPTION]... [PLACE]...
    local what=$1 pattern=$2 line
    shift 2
    while IFS= read -r line; do
        echo "${line#./}: $what"
        bad=1
    done < <(grep -rInE "$pattern" --exclude-dir='build*' --exclude-dir=.git --exclude-dir=.cache \
        --exclude-dir=__pycache__ --exclude=texts.sh --exclude=test_texts.sh "$@")
}
naps() { # PATTERN --include=FILES
    local file number line
    while IFS=: read -r file number line; do
        if [[ ! $line =~ (//|/\*|\#).*(poll|nap:) ]] &&
            [[ ! $(sed -n "$((number > 1 ? number - 1 : 1))p" "$file") =~ (//|/\*|\#).*nap: ]]; then
            echo "$file:$number: waits for a fixed time"
            bad=1
        fi
    done < <(grep -rInE "$1" "$2" --exclude=test_texts.sh --exclude-dir=bench tests)
}

finds "a place of one machine" \
    '(^|[^[:alnum:]_./<-])(/work(/|[^[:alnum:]_./-]|$)|/nix/store|/usr/local/(go|node)|/home/[a-z]+/(src|projects))' .
finds "a package registry" \
    '(registry\.npm[j]s\.org|registry\.yarn[p]kg\.com|p[y]pi\.(org|python\.org)|python[h]osted\.org|crate[s]\.io|proxy\.go[l]ang\.org|ruby[g]ems\.org|repo1?\.mave[n]\.org|repo\.mave[n]\.apache\.org|(^|[^[:alnum:]])(docker|quay|ghcr|gcr)\.io|conda\.ana[c]onda\.org)' .
finds "an issue's number" '(^|[^[:alnum:]])[Ii]ssue #?[0-9]+' .
finds "work left undone" '(^|[^[:alnum:]_])(TODO|FIXME|XXX)([^[:alnum:]_]|$)' .
naps '(^|[^[:alnum:]_])(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep)[[:space:]]*\(' \
    --include='*.[ch]'
naps '(^|[^[:alnum:]_])(time|asyncio|gevent)\.sleep[[:space:]]*\(|import.*[[:space:]]sleep([[:space:],]|$)' \
    --include='*.py'
naps '(^|[;&|(]|then|do|else)[[:space:]]*sleep[[:space:]]' --include='*.sh'
exit $bad
