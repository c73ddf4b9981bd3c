#!/bin/sh
# SPDX-License-Identifier: MIT
# clang-tidy and cppcheck on one file: analyze.sh daemon/base/heap.c
# cppcheck knows neither __attribute__((cleanup)) nor what functions of other files write; LeakSanitizer
# and the compilers do, so these checks of it are off.
set -eu
cd "$(dirname "$0")/../.."
clang-tidy --quiet --warnings-as-errors='*' "$1" -- -std=gnu11 -D_GNU_SOURCE -Idaemon -Ictl \
    -DP2PNODE_VERSION='"0"' -DP2PNODE_PREFIX='"/usr"' 2>/dev/null
exec cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr \
    --suppress=normalCheckLevelMaxBranches --suppress=memleak --suppress=resourceLeak \
    --suppress=uninitvar --suppress=ctuuninitvar \
    --suppress=nullPointerRedundantCheck --std=c11 -D_GNU_SOURCE -Idaemon -Ictl "$1"
