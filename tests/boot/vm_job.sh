#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs in a freshly booted machine: tasks at level full, whose control groups the kernel keeps. Each step says what it
# shows; the closing line is what tests/tally.py counts.
set -uo pipefail
cd /tmp
export LC_ALL=C.UTF-8
passed=0 failed=0

step() { # step TEXT COMMAND...
    local text=$1
    shift
    "$@" > step.out 2>&1
    local code=$?
    if [ $code = 0 ]; then
        passed=$((passed + 1))
        echo "ok      $text"
    else
        failed=$((failed + 1))
        echo "FAILED  $text (exit $code)"
        sed 's/^/        /' step.out
    fi
}

# until_true COMMAND...: again until it succeeds, 60 s at most: this machine is slow.
until_true() {
    local end=$((SECONDS + 60))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        read -r -t 0.2 <> <(:) || true
    done
}

# ends_with CODE COMMAND...
ends_with() {
    local wanted=$1
    shift
    "$@"
    local code=$?
    [ "$code" = "$wanted" ] || { echo "exit $code"; return 1; }
}

seed() { p2pctl -i seed --request-timeout 60s "$@"; }
# Turns are between users.
as_another() {
    setpriv --reuid p2pnode --regid p2pnode --clear-groups p2pctl -i seed --request-timeout 60s "$@"
}
submit() { seed submit --wait "$@"; }
runs() { seed ping && submit -- true; }
main_pid() { systemctl show -P MainPID "$1"; }
groups() { echo /sys/fs/cgroup/p2pnode.slice/p2pnode-exec@seed.service/task-*; }
says() { # says FILE WORDS: in the group of a task
    grep -qsE "$2" /sys/fs/cgroup/p2pnode.slice/p2pnode-exec@seed.service/task-*/"$1"
}
throttled() { says cpu.max '^20000 100000$' && says cpu.stat '^nr_throttled [1-9]'; }
is_empty() { [ "$(groups)" = '/sys/fs/cgroup/p2pnode.slice/p2pnode-exec@seed.service/task-*' ]; }
reason() { seed task list | tail -1; }
told() { reason && reason | grep -q "$1"; }
restarted() { [ "$(main_pid p2pnode-exec@seed)" != "$1" ] && [ "$(main_pid p2pnode-exec@seed)" != 0 ] && runs; }
hostile() {
    submit --in /job/hostile=hostile --env P2_SOCKET=/run/p2pnode/seed.sock --env P2_STATE=/var/lib/p2pnode/seed \
        --env P2_KEYS=/var/lib/p2pnode/seed/keyring --env P2_ROOT=/var/lib/p2pnode-exec/seed \
        --env P2_PID="$(main_pid p2pnode@seed)" --env P2_EXEC="$(main_pid p2pnode-exec@seed)" \
        --env P2_ADDRESS=127.0.0.1 --env P2_PORT=7717 -- ./hostile "$1"
}
kept_out() { hostile "$1" && is_whole; }
is_whole() { [ "$(main_pid p2pnode@seed) $(main_pid p2pnode-exec@seed)" = "$pids" ]; }

chmod 755 /job/hostile
step 'the package installs' apt-get install -y --no-install-recommends /job/p2pnode.deb
printf 'tasks = { slots = 2; quantum = "1s"; output_max = "1MiB"; };\n' >> /etc/p2pnode/seed.conf
step 'systemctl start p2pnode@seed' systemctl start p2pnode@seed
step 'a task runs' until_true runs
step 'level full is what a task gets' sh -c 'p2pctl -i seed doctor sandbox | grep -E "level full( |\"|$)"'
step 'and what it can ask for' submit --sandbox full -- true
step 'it is in a control group of its own' sh -c 'p2pctl -i seed submit --wait -- cat /proc/self/cgroup | grep "/task-"'
step 'which is gone with it' until_true is_empty
pids="$(main_pid p2pnode@seed) $(main_pid p2pnode-exec@seed)"

step 'one process over the limit of memory is killed' ends_with 137 submit --memory 64MiB -- tail /dev/zero
step 'and its user hears why, and what to do' told 'out of memory (signal 9): limit 64MiB; it gets more with --memory 128MiB'
step 'so are many that are over it together' ends_with 137 submit --memory 64MiB -- sh -c \
    'for i in 1 2 3 4; do (head -c 30000000 /dev/zero | tail -c 30000000 | sleep 1000) & done; wait'
step 'and files in memory count' ends_with 137 submit --memory 64MiB -- python3 -c \
    'import os; f = os.memfd_create("x"); [os.write(f, bytes(1 << 20)) for i in range(200)]'
step 'a function in a warm helper, too' ends_with 137 submit --memory 64MiB --function f \
    --code 'def f(): return len(b"x" * (200 << 20))'
step 'and below the limit it has its result' sh -c '[ "$(p2pctl -i seed submit --wait --memory 256MiB --function f \
    --code "def f(): return len(b\"x\" * (20 << 20))")" = 20971520 ]'
step 'memory that is reserved and not used is free' submit --memory 64MiB -- python3 -c \
    'import mmap; mmap.mmap(-1, 1 << 29)'

seed submit --cpus 0.2 -- sh -c 'while :; do :; done' > id
step 'the kernel holds a fifth of a CPU' until_true throttled
seed submit -- sh -c 'trap "" TERM; setsid sh -c "trap \"\" TERM; sleep 1000.99" & wait' > second
as_another submit -- sh -c 'while :; do :; done' > third
step 'with more tasks than slots, a user waits frozen for his turn' until_true says cgroup.events '^frozen 1'
step 'cancelled all the same' sh -c 'p2pctl -i seed task cancel --yes --all --grace 1s && p2pctl -i seed task wait --timeout 60s \
    $(cat id second third); [ -z "$(pgrep -f "1000[.]99")" ]'
step 'nothing is left of their groups' until_true is_empty
step 'the time limit is kept in a group' ends_with 124 submit --timeout 1s -- sh -c 'trap "" TERM; sleep 1000 & sleep 1000'

for attempt in $(/job/hostile); do
    [ "$attempt" = fill ] || [ "$attempt" = output ] || step "a hostile task: $attempt" kept_out "$attempt"
done
step 'a hostile task: output' hostile output
step 'both programs are those of the beginning' is_whole

pid=$(main_pid p2pnode-exec@seed)
seed submit --retries 2 -- sleep 1000.98 > id
step 'a task runs while p2pnode-exec is killed' until_true says cgroup.procs '[0-9]'
kill -KILL "$pid"
step 'it is back, at level full' until_true restarted "$pid"
step 'and tells that it is' until_true sh -c 'p2pctl -i seed doctor sandbox | grep -E "level full( |\"|$)"'
seed task cancel --yes --all --grace 1s > /dev/null 2>&1
step 'no group is left over' until_true is_empty
step 'no process either' until_true sh -c '[ -z "$(pgrep -f "1000[.]98")" ]'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
