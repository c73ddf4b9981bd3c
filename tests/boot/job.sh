#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs in a freshly booted system without p2pnode: what an administrator does with the package, in that order.
# Each step says what it shows; the closing line is what tests/tally.py counts.
set -uo pipefail
cd /tmp
export LC_ALL=C.UTF-8
passed=0 failed=0

step() { # step TEXT COMMAND...
    local text=$1
    shift
    if "$@" > step.out 2>&1; then
        passed=$((passed + 1))
        echo "ok      $text"
    else
        failed=$((failed + 1))
        echo "FAILED  $text (exit $?)"
        sed 's/^/        /' step.out
    fi
}

# until_true COMMAND...: again until it succeeds, 90 s at most: a machine may have more to do than this.
until_true() {
    local end=$((SECONDS + 90))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        read -r -t 0.1 <> <(:) || true
    done
}

seed() { p2pctl -i seed "$@"; }
lab() { p2pctl -i lab "$@"; }
tells_status() { systemctl show -P StatusText p2pnode@seed | grep -q alive; }
sees_two() { [ "$(seed members --json | grep -o '"state":"alive"' | wc -l)" = 2 ]; }
# The list of README and seed 0, on handlers that come with the shipped lab.conf.
runs_list() { echo 'a1 b1 c1 a2 b2 c2' > tasks.txt && lab run tasks.txt > out && grep -q "Executing task: c2" out; }
main_pid() { systemctl show -P MainPID "$1"; }
was_restarted() { [ "$(main_pid p2pnode@lab)" != "$1" ] && [ "$(main_pid p2pnode@lab)" != 0 ] && sees_two; }
has_left() { seed members --json | grep -q "\"state\":\"left\""; }
nobody_is_left() { [ -z "$(pgrep p2pnode)" ]; }
says() { journalctl -b -o json "$@" | grep -q .; }
security() { systemd-analyze security --no-pager --threshold="$1" "$2"; }

step 'the package installs' apt-get install -y --no-install-recommends /job/p2pnode.deb
step 'the key ring is there, for root alone' [ "$(stat -c '%a %U' /etc/p2pnode/keys)" = '600 root' ]
step 'nothing runs before it is started' [ -z "$(pgrep -x p2pnode)" ]
step 'units are without a mistake' systemd-analyze verify --man=no /lib/systemd/system/p2pnode@.service \
    /lib/systemd/system/p2pnode-exec@.service
step 'systemctl start p2pnode@seed' systemctl start p2pnode@seed
step 'systemctl start p2pnode@lab, beside it' systemctl start p2pnode@lab
step 'they see each other' until_true sees_two
step 'exposure of the daemon is at most 1.5' security 15 p2pnode@seed.service
step 'exposure of the task runner is at most 2.5' security 25 p2pnode-exec@seed.service
step 'STATUS= tells what systemctl status shows' until_true tells_status
step 'a task list runs' runs_list
step 'tasks run as p2pnode-task' [ "$(lab submit --wait -- id -u)" = "$(id -u p2pnode-task)" ]
step 'a task cannot reach the keys' lab submit --wait -- sh -c '! cat /etc/p2pnode/keys /var/lib/p2pnode/lab/keyring'
step 'a file is stored and comes back' sh -c 'p2pctl -i lab file put /etc/os-release seed: &&
    p2pctl -i seed file get os-release back && cmp /etc/os-release back'
step 'members are in the journal by field' until_true says PEER_EVENT=member-joined PEER_MEMBER=lab
step 'the catalog explains it' sh -c 'journalctl -b -x PEER_EVENT=member-joined | grep -q "has joined"'
pid=$(main_pid p2pnode@lab)
kill -STOP "$pid"
step 'the watchdog restarts a daemon that hangs' until_true was_restarted "$pid"
step 'an upgrade keeps running nodes running' dpkg -i /job/p2pnode.deb
step 'and they find each other again' until_true sees_two
step 'systemctl stop p2pnode@lab' systemctl stop p2pnode@lab
step 'a stop is a leave' until_true has_left
step 'the package is removed and purged' apt-get purge -y p2pnode
step 'no process is left' until_true nobody_is_left
step 'no file is left' [ -z "$(ls -d /etc/p2pnode /var/lib/p2pnode* /run/p2pnode* 2>/dev/null)" ]
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
