#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.sh BUILD: the main job from beginning to end, with the programs of that directory. A seed and
# four nodes on loopback addresses run a list of tasks, whose results are compared with the same
# computed here; then files, values, a message, and a node that is killed while it has work. What is
# started ends with the script and what is written goes with it, also after Ctrl-C or a failure.
set -euo pipefail

programs=$(cd "${1:?usage: demo.sh BUILD}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
text=${DEMO_TEXT:-/usr/share/common-licenses/GPL-3}
dir=
declare -A pids=() addresses=([seed]=127.77.0.1 [node1]=127.77.0.2 [node2]=127.77.0.3
                              [node3]=127.77.0.4 [node4]=127.77.0.5)

# --- What the script says, waits for, and cleans up

step() { printf '\n== %s\n' "$*"; }
indent() { sed -u 's/^/   /'; }
good() { printf '   ok: %s\n' "$*"; }

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05 # between two looks
    done
}

# Whatever has the name of our directory in its command line is ours.
processes() { grep -lasFf <(printf '%s' "$dir") /proc/[0-9]*/cmdline | cut -d/ -f3; }
no_processes() { [ -z "$(processes)" ]; }

show_logs() {
    local name
    for name in "${!pids[@]}"; do
        printf -- '-- the last lines of %s\n' "$name"
        tail -n 8 "$dir/$name.log"
    done >&2
}

# clean_up STATUS: also where another signal comes just before they are ignored.
clean_up() {
    trap '' INT TERM HUP PIPE
    trap - EXIT
    local status=$1
    case $status in
        0 | 129 | 130 | 141 | 143) ;;
        *) show_logs ;;
    esac
    [ -n "$dir" ] || exit "$status"
    kill -TERM "${pids[@]}" 2>/dev/null || true
    if ! wait_for 12 no_processes; then
        printf 'demo: still there after SIGTERM: %s\n' "$(processes | tr '\n' ' ')" >&2
        kill -KILL "${pids[@]}" 2>/dev/null || true
        wait_for 12 no_processes || true
        status=1
    fi
    rm -rf "$dir" || status=1
    [ "$status" -ne 0 ] || good "no process and no file is left; $SECONDS s in all"
    exit "$status"
}
trap 'clean_up $?' EXIT
trap 'clean_up 129' HUP
trap 'clean_up 130' INT
trap 'clean_up 141' PIPE
trap 'clean_up 143' TERM

# --- The lab

ctl() {
    local node=$1
    shift
    "$programs/p2pctl" --socket "$dir/$node.sock" "$@"
}

# type LETTER HANDLER: an entry of tasks.types.
type() { printf '{ name = "%s"; command = "%s/tasks/%s %s"; }' "$1" "$dir" "$2" "$text"; }

# start NAME ROLE TYPES: a node with a configuration of its own, and nothing from our environment. It
# ends with us even if we cannot end it any more.
start() {
    cat >"$dir/$1.conf" <<END
node      = { name = "$1"; role = "$2"; };
listen    = { address = "${addresses[$1]}"; port = 7717; };
seeds     = ( "${addresses[seed]}:7717" );
security  = { keyring = "$dir/keys"; };
state_dir = "$dir/$1"; stop_grace = "1s";
control   = { socket = "$dir/$1.sock"; };
log       = { target = "stderr"; gossip_first = 0; };
sandbox   = { read = ( "/usr", "/lib", "/lib64", "/bin", "/etc/alternatives", "$text", "$dir/tasks" ); };
tasks     = { slots = 2; lease = "3s"; retry_delay = "1s"; types = ( $3 ); };
END
    setpriv --pdeathsig TERM env -i PATH="$PATH" "$programs/p2pnode" -c "$dir/$1.conf" \
        </dev/null 2>"$dir/$1.log" &
    pids[$1]=$!
}

# Everybody sees five nodes alive; or somebody has ended, and waiting is in vain.
all_see_all() {
    local name
    for name in "${!pids[@]}"; do
        kill -0 "${pids[$name]}" 2>/dev/null ||
            fail "$name did not start: $(sed -n 's/^err: //p' "$dir/$name.log")"
    done
    for name in "${!pids[@]}"; do
        [ "$(ctl "$name" members --alive --no-legend 2>/dev/null | wc -l)" -eq 5 ] || return 1
    done
}

# --- The parts of the show

# check_result ID TASK: what the task printed, against what it has to print.
check_result() {
    ctl node1 task logs --stdout "$1" >"$dir/result"
    "$here/expect" "$text" "$2" >"$dir/expected"
    [ -s "$dir/expected" ] || fail "nothing to compare $2 with"
    cmp "$dir/result" "$dir/expected" || fail "task $1 ($2) printed something else"
}

build_lab() {
    step "A lab: a seed and four nodes on ${addresses[seed]} to ${addresses[node4]}, with a fresh key"
    dir=$(mktemp -d /tmp/p2pnode-demo.XXXXXX)
    chmod 711 "$dir" # tasks of root run as nobody, and have to reach their handlers
    install -D -m 755 -t "$dir/tasks" "$here"/tasks/*
    (umask 077 && "$programs/p2pctl" keys gen >"$dir/keys")
    start seed seed ""
    start node1 peer "$(type a split)"
    start node2 peer "$(type b count)"
    start node3 peer "$(type c merge), $(type d say)"
    start node4 peer "$(type d say)"
    wait_for 15 all_see_all || fail "the nodes do not see each other"
    ctl seed members -o node,role,state,address,types,slots | indent
}

run_list() {
    local id task count=0
    step "The task list, at node1: $(cat "$here/tasks.txt")"
    timeout --foreground 30 "$programs/p2pctl" --socket "$dir/node1.sock" run "$here/tasks.txt" \
        2>"$dir/summary" | tee "$dir/console" | indent || fail "p2pctl run: $(cat "$dir/summary")"
    indent <"$dir/summary"
    diff "$here/console.txt" "$dir/console" || fail "p2pctl run printed something else"
    good "the console shows exactly what the manual promises"
    ctl node1 task list -w "$(cut -d: -f1 "$dir/summary")" --no-legend -o id,name >"$dir/list"
    while read -r id task; do
        check_result "$id" "$task"
        count=$((count + 1))
    done <"$dir/list"
    [ "$count" -eq "$(wc -w <"$here/tasks.txt")" ] || fail "$count tasks are in the list"
    good "$count results are what $text gives without p2pnode; c3, its most frequent words:"
    ctl node1 task logs "$(awk '$2 == "c3" { print $1 }' "$dir/list")" | paste -sd, | sed 's/,/, /g' | indent
}

move_file() {
    local file=$programs/p2pnode sum
    step "A file: $(basename "$file"), $(wc -c <"$file") bytes, from node1 to node2 and back at node3"
    sum=$(sha256sum <"$file")
    ctl node1 file put "$file" node2:program
    ctl seed file ls node2: | indent
    ctl node3 file get node2:program "$dir/program"
    [ "$(sha256sum <"$dir/program")" = "$sum" ] || fail "the file came back changed"
    good "sha256 ${sum%% *} before and after"
}

set_value() {
    local value
    step "A value: set on node3 by node1, read by node4"
    ctl node1 mem set node3:greeting "hello from node1"
    value=$(ctl node4 mem get node3:greeting)
    [ "$value" = "hello from node1" ] || fail "node3:greeting is \"$value\""
    good "node3:greeting is \"$value\""
}

send_message() {
    step "A message: from the seed to node2"
    ctl seed message node2 "Hello Node2!" | indent
    ctl node2 inbox | tee "$dir/inbox" | indent
    grep -q 'seed .*Hello Node2!$' "$dir/inbox" || fail "it is not in the inbox of node2"
}

# task_is_on ID: the node that has it; the list shows the number alone.
task_is_on() { ctl node1 task list --no-legend -o id,node | awk -v id="${1%@*}" '$1 == id { print $2 }'; }
task_is() { ctl node1 task list --no-legend -o id,state | grep -q "^${1%@*} *$2 *\$"; }
seed_reports() {
    ctl seed events --format=seed --type dead-report,member-dead >"$dir/reports"
    grep "^Dead Node:$1:" "$dir/reports" >"$dir/report"
}

kill_node() {
    local id victim
    step "A death: a node is killed while it reads thirty lines out (d30, which node3 and node4 can do)"
    id=$(ctl node1 submit d30)
    wait_for 10 task_is "$id" running || fail "task $id does not run"
    victim=$(task_is_on "$id")
    kill -KILL "${pids[$victim]}"
    wait "${pids[$victim]}" 2>/dev/null || true
    unset "pids[$victim]"
    printf '   task %s runs on %s: killed (SIGKILL); the seed hears of it:\n' "$id" "$victim"
    wait_for 20 seed_reports "${addresses[$victim]}" || fail "the seed does not know that $victim is dead"
    sed -n 1p "$dir/report" | indent
    wait_for 30 task_is "$id" succeeded || fail "task $id did not finish elsewhere"
    ctl node1 task show "$id" | indent
    [ "$(task_is_on "$id")" != "$victim" ] || fail "task $id succeeded on a dead node"
    check_result "$id" d30
    good "finished on $(task_is_on "$id"), all thirty lines"
}

end_lab() {
    local name
    step "The end: the nodes stop, and $dir goes"
    kill -TERM "${pids[@]}"
    wait_for 12 no_processes || fail "these do not end: $(processes | tr '\n' ' ')"
    for name in "${!pids[@]}"; do
        wait "${pids[$name]}" || fail "$name ended with $?"
    done
    pids=()
}

[ -r "$text" ] || fail "$text is not there; DEMO_TEXT=FILE names another text"
build_lab
run_list
move_file
set_value
send_message
kill_node
end_lab
