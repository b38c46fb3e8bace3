#!/bin/sh
# manual.sh SOURCE: the manual pages are mdoc that mandoc has nothing to say about. That a page
# refers to one which isn't installed here yet is not the page's fault.
set -eu
cd "$1/packaging/man"
ls ./*.[1-9] >/dev/null
said=$(mandoc -T lint -W style ./*.[1-9] 2>&1 |
    grep -v -e 'referenced manual not found' -e 'outdated mandoc.db' || true)
[ -z "$said" ] || { echo "$said" && exit 1; }
