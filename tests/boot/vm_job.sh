#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs in a freshly booted machine: tasks at level full, whose control groups the kernel keeps; then the power is cut
# while tasks run, and at the second start it is looked at what is left of them. /job has p2pnode.deb, and hostile.
export PATIENCE=180 # what is emulated is slow
. /job/steps.sh
cd /job || exit 1

group=/sys/fs/cgroup/p2pnode.slice/p2pnode-exec@seed.service

seed() { ctl seed --request-timeout 60s "$@"; }
# Turns are between users.
as_another() { setpriv --reuid p2pnode --regid p2pnode --clear-groups p2pctl -i seed --request-timeout 60s "$@"; }
submit() { seed submit --wait "$@"; }
ends_with() { # ends_with CODE COMMAND...
    local wanted=$1 code=0
    shift
    "$@" || code=$?
    [ "$code" = "$wanted" ] || { echo "exit $code"; return 1; }
}
runs() { seed ping && submit -- true; }
is_full() { seed doctor sandbox | show | has -E 'level full( |"|$)'; }
has_own_group() { submit -- cat /proc/self/cgroup | show | has /task-; }
is_empty() { [ "$(echo "$group"/task-*)" = "$group/task-*" ]; }
id_of() { seed task list --no-legend -o id,name | awk -v name="$1" '$2 == name { print $1 }'; }
none_called() { [ -z "$(pgrep -a -f "$1" | show)" ]; }

# group_of WORDS: the control group of the task that has a process with these words. Any of it may be gone meanwhile.
group_of() {
    local one pid
    for one in "$group"/task-*; do
        for pid in $(cat "$one/cgroup.procs"); do
            tr '\0' ' ' < "/proc/$pid/cmdline" | has -F "$1" && echo "$one" && return 0
        done
    done 2> /dev/null
    return 1
}
# group_says WORDS FILE LINE: a line of a file of that group.
group_says() {
    local path
    path=$(group_of "$1") && grep -sE "$3" "$path/$2"
}

install_and_start() {
    chmod 755 hostile
    step 'the package installs' apt-get install -y --no-install-recommends ./p2pnode.deb
    # One slot, so that two users take turns.
    printf 'tasks = { slots = 1; quantum = "2s"; output_max = "1MiB"; };\n' >> /etc/p2pnode/seed.conf
    step 'a node is enabled and started' systemctl enable --now p2pnode@seed
    step 'a task runs' until_true runs
    step 'level full is what a task gets' is_full
    step 'and what it can ask for' submit --sandbox full -- true
    step 'it is in a control group of its own' has_own_group
    step 'which is gone with it' until_true is_empty
}

told() { seed task list --no-legend --full | tail -n 1 | show | has -F "$1"; }
together() { submit --memory 64MiB -- sh -c \
    'for i in 1 2 3 4; do (head -c 30000000 /dev/zero | tail -c 30000000 | sleep 1000) & done; wait'; }
in_files() { submit --memory 64MiB -- python3 -c \
    'import os; f = os.memfd_create("x"); [os.write(f, bytes(1 << 20)) for i in range(200)]'; }
# a Python call of SIZE with the limit LIMIT.
call() { submit --memory "$2" --function f --code "def f(): return len(b'x' * ($1 << 20))"; }
call_has_result() { [ "$(call 20 256MiB)" = $((20 << 20)) ]; }

limit_memory() {
    step 'a process over the limit of memory is killed' ends_with 137 submit --memory 64MiB -- tail /dev/zero
    step 'and its user hears why, and what to do' \
        told 'out of memory (signal 9): limit 64MiB; it gets more with --memory 128MiB'
    step 'so are many that are over it together' ends_with 137 together
    step 'with the same words' told 'out of memory (signal 9): limit 64MiB; it gets more with --memory 128MiB'
    step 'files in memory count' ends_with 137 in_files
    step 'a function in a warm helper, too' ends_with 137 call 200 64MiB
    step 'and below the limit it has its result' call_has_result
    step 'memory that is reserved and not used is free' submit --memory 64MiB -- python3 -c \
        'import mmap; mmap.mmap(-1, 1 << 29)'
}

# Of its CPU time the kernel gave a fifth of each period of 100 ms; what it gave too much it takes from the next ones.
has_a_fifth() {
    local path
    path=$(group_of ': fifth') || return 1
    awk '{ value[$1] = $2 }
        END { exit !(value["nr_throttled"] >= 20 && value["usage_usec"] <= (value["nr_periods"] + 2) * 22000) }' \
        "$path/cpu.stat"
}
# cancels CODE TASK...: which end by it with that exit code, and with all that they have. Whoever listens to TERM is
# not killed because it is slow.
cancels() {
    local id code=$1 grace=1s
    shift
    [ "$code" = 137 ] || grace=60s
    seed task cancel --yes --all --grace $grace || return 1
    for id; do
        ends_with "$code" seed task wait --timeout 60s "$id" || return 1
    done
}
logs_have() { seed task logs "$1" 2>&1 | has "$2"; }
# Until it may not fork any more; all of them wait for what never comes.
forks() { seed submit -- sh -c ': bomb; sleep 1000 | (exec 3<&0; while :; do read _ <&3 & done)'; }

limit_the_rest() {
    local id
    id=$(seed submit --cpus 0.2 -- sh -c ': fifth; while :; do :; done')
    step 'a limit of CPUs is the one of the group' until_true group_says ': fifth' cpu.max '^20000 100000$'
    step 'and the kernel gives a fifth of a CPU' until_true has_a_fifth
    step 'the task is cancelled' cancels 143 "$id"
    id=$(forks)
    step 'a fork bomb may not fork any more' until_true logs_have "$id" 'Cannot fork'
    step 'its group may have 1,024 processes' group_says ': bomb' pids.max '^1024$'
    step 'and has nearly as many' group_says ': bomb' pids.current '^10[0-2][0-9]$'
    step 'the daemon answers' seed ping
    step 'the bomb is cancelled' cancels 143 "$id"
    step 'with all that it had' none_called ': bomb'
    step 'the time limit is kept' ends_with 124 submit --timeout 1s -- sh -c 'trap "" TERM; sleep 1000 & sleep 1000'
    step 'nothing is left of their groups' until_true is_empty
}

# One that does not listen to SIGTERM, and has a child that left its session.
stubborn() { printf ': %s; trap "" TERM; setsid sh -c ": %s; trap \\"\\" TERM; while :; do sleep 0.1; done" & wait' "$1" "$1"; }
is_frozen() { group_says ": $1" cgroup.events '^frozen 1$' && ! group_says ": $2" cgroup.events '^frozen 1$'; }
says_paused() { seed task list --no-legend -o id,reason | has "^${1%@*} *paused"; }

take_turns() {
    local mine other
    mine=$(seed submit -- sh -c "$(stubborn mine)")
    step 'a task runs' until_true group_of ': mine'
    other=$(as_another submit -- sh -c "$(stubborn other)")
    step "at the end of its time slice it is frozen for another user's" until_true is_frozen mine other
    step 'which its user is told' until_true says_paused "$mine"
    step 'then it is its turn again, and the other is frozen' until_true is_frozen other mine
    step 'and once more' until_true is_frozen mine other
    step 'both are cancelled, frozen or not' cancels 137 "$mine" "$other"
    step 'with all their processes' none_called ': (mine|other);'
    step 'nothing is left of their groups' until_true is_empty
}

is_whole() { [ "$(main_pid p2pnode@seed) $(main_pid p2pnode-exec@seed)" = "$pids" ]; }
hostile() {
    submit --in hostile --env P2_SOCKET=/run/p2pnode/seed.sock --env P2_STATE=/var/lib/p2pnode/seed \
        --env P2_KEYS=/var/lib/p2pnode/seed/keyring --env P2_ROOT=/var/lib/p2pnode-exec/seed \
        --env P2_PID="$(main_pid p2pnode@seed)" --env P2_EXEC="$(main_pid p2pnode-exec@seed)" \
        --env P2_ADDRESS=127.0.0.1 --env P2_PORT=7717 -- ./hostile "$1"
}
kept_out() { hostile "$1" && is_whole; }
output_is_cut() {
    local size
    size=$(hostile output 2>&1 | wc -c)
    echo "$size bytes"
    [ "$size" -gt $((1 << 19)) ] && [ "$size" -lt $((2 << 20)) ]
}

keep_out() {
    local attempt
    for attempt in $(./hostile); do
        # Of the disk there is no more to see here than below this level.
        [ "$attempt" = fill ] || [ "$attempt" = output ] || step "a hostile task: $attempt" kept_out "$attempt"
    done
    step 'a hostile task: output, which is cut' output_is_cut
    step 'both programs are those of the beginning' is_whole
}

task_is() { seed task list --no-legend -o name,state | has "^$1 *$2\$"; }
attempts_of() { seed task show "$(id_of "$1")" --json | grep -o '"attempt":[0-9]*' | head -n 1; }
runs_again() { task_is "$1" running && [ "$(attempts_of "$1")" = '"attempt":2' ]; }

kill_runner() {
    local runner id
    runner=$(main_pid p2pnode-exec@seed)
    id=$(seed submit --name survivor --retries 9 -- sh -c "$(stubborn survivor)")
    step 'a task runs' until_true group_of ': survivor'
    systemctl kill --signal=KILL --kill-whom=main p2pnode-exec@seed
    step 'p2pnode-exec is killed, and back' until_true is_other p2pnode-exec@seed "$runner"
    step 'it tells level full' until_true is_full
    step 'the task runs again' until_true runs_again survivor
    step 'and is cancelled' cancels 137 "$id"
    step 'no group is left over' until_true is_empty
    step 'no process either' until_true none_called ': survivor;'
}

put_file() { head -c 3000000 /dev/urandom > stored && sync stored && seed file put stored; }

cut_power() {
    step 'a file is stored' put_file
    step 'a task has ended' submit --name ended -- echo ended
    seed submit --name running -- sh -c 'until [ -e /usr/share/go ]; do sleep 0.1; done; echo went' > /dev/null
    step 'another runs' until_true task_is running running
    step 'a third is accepted' seed submit --name waiting -- echo waited
    finish
    # Nothing of the machine is told: the last line leaves it, and that was it.
    python3 -c 'import termios; termios.tcdrain(1)'
    echo b > /proc/sysrq-trigger
}

logs_are() { [ "$(seed task logs --stdout "$(id_of "$1")" | show)" = "$2" ]; }
file_comes_back() { seed file get stored back && cmp stored back; }

look_again() {
    step 'after a cut of power the node is there again' until_true is_active p2pnode@seed
    step 'it answers' until_true seed ping
    step 'the file is whole' file_comes_back
    step 'the output of the task that had ended is there' logs_are ended ended
    touch /usr/share/go
    step 'the task that ran ends' seed task wait "$(id_of running)"
    step 'after a second attempt' [ "$(attempts_of running)" = '"attempt":2' ]
    step 'which has its output' logs_are running went
    step 'the one that was accepted as well' seed task wait "$(id_of waiting)"
    step 'and its output is there' logs_are waiting waited
    step 'at level full, as before' is_full
    step 'the rest of the first start is gone' until_true is_empty
    finish
}

if [ -e second-start ]; then
    look_again
    exit
fi
touch second-start
sync
install_and_start
pids="$(main_pid p2pnode@seed) $(main_pid p2pnode-exec@seed)"
limit_memory
limit_the_rest
take_turns
keep_out
kill_runner
cut_power
