#!/bin/sh
# SPDX-License-Identifier: MIT
# Lets libFuzzer drive one target for FUZZ_SECONDS: fuzz.sh build/.../tests/fuzz_NAME
# What it finds interesting stays in build/corpus; what breaks the target is written to build/crashes.
set -eu
name=$(basename "$1")
name=${name#fuzz_}
mkdir -p "build/corpus/$name" build/crashes
exec "$1" -max_total_time="${FUZZ_SECONDS:-20}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/crashes/$name-" "build/corpus/$name" "tests/fuzz/corpus/$name"
