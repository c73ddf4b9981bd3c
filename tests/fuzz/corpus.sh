#!/bin/sh
# SPDX-License-Identifier: MIT
# Replays the corpus of one fuzz target, which has to have one: corpus.sh build/tests/fuzz_NAME
set -eu
name=$(basename "$1")
exec "$1" "tests/fuzz/corpus/${name#fuzz_}"
