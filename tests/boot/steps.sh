# SPDX-License-Identifier: MIT
# What the jobs of the boot tests are made of: steps that are counted, waiting for a condition, and figures for the
# transcript. Sourced; the closing line is what tests/tally.py counts.
# shellcheck shell=bash
set -uo pipefail
export LC_ALL=C.UTF-8
passed=0 failed=0
out=$(mktemp)

# step TEXT COMMAND...: one test, with its command's output in the transcript.
step() {
    local text=$1 begin=${EPOCHREALTIME/./} status=0
    shift
    : > "$out"
    "$@" >> "$out" 2>&1 || status=$?
    local took=$(((${EPOCHREALTIME/./} - begin) / 1000))
    if [ $status = 0 ]; then
        passed=$((passed + 1))
        printf 'ok      %s (%d ms)\n' "$text" $took
    else
        failed=$((failed + 1))
        printf 'FAILED  %s (exit %d, %d ms): %s\n' "$text" $status $took "$*"
    fi
    tail -n 40 "$out" | sed 's/^/        | /'
}

# figure WHAT VALUE: measured, not judged.
figure() { printf 'figure  %s: %s\n' "$1" "$2"; }

# until_true COMMAND...: again until it succeeds; PATIENCE at most, which is for machines that are held up.
until_true() {
    local end=$((SECONDS + ${PATIENCE:-60}))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        read -r -t 0.1 <> <(:) || true
    done
}

# Reads to the end, so that whoever writes never finds the pipe closed.
has() { grep "$@" > /dev/null; }

# What goes through a pipe, in the transcript too.
show() { tee -a /dev/stderr; }

ctl() { p2pctl -i "$@"; }
main_pid() { systemctl show -P MainPID "$1"; }
is_active() { systemctl --quiet is-active "$@"; }
# alive NODE COUNT: that many live nodes are listed there.
alive() { [ "$(ctl "$1" members --alive --no-legend 2> /dev/null | wc -l)" = "$2" ]; }
has_state() { ctl "$1" members --no-legend -o node,state | has "^$2\*\? *$3"; }
journal_has() { journalctl -b -o cat "$@" | has .; }
# Started anew and ready: another process than PID.
is_other() { [ "$(main_pid "$1")" != "$2" ] && [ "$(main_pid "$1")" != 0 ] && is_active "$1"; }
# The program that runs is the one on the disk, not one that an upgrade has replaced.
runs_installed() {
    local unit
    for unit; do
        readlink "/proc/$(main_pid "$unit")/exe" | show | has '^[^ ]*$' || return 1
    done
}

finish() {
    rm -f "$out"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
