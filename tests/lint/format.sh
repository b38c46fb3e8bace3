#!/bin/sh
# format.sh SOURCE: every C file is as clang-format would write it.
set -eu
cd "$1"
find daemon tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror
