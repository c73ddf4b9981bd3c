#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs in a freshly booted Debian without p2pnode: what an administrator does with the package, in that order.
# /job has p2pnode.deb, and previous.deb to upgrade from.
. /job/steps.sh
cd /tmp || exit 1

not() { ! "$@"; }
verify_units() {
    systemd-analyze verify --man=no p2pnode@seed.service p2pnode-exec@seed.service p2pnode-exec@seed.socket \
        p2pnode.slice > verify 2>&1
    local status=$?
    cat verify
    [ $status = 0 ] && [ ! -s verify ]
}
# security UNIT LIMIT: in tenths.
security() {
    systemd-analyze security --no-pager --threshold="$2" "$1" > security
    local status=$?
    tail -n 1 security
    return $status
}
exposure() { systemd-analyze security --no-pager "$1" | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p'; }
as_daemon() { setpriv --reuid p2pnode --regid p2pnode --clear-groups "$@"; }
as_member() { setpriv --reuid nobody --regid nogroup --groups p2pnode "$@"; }
as_nobody() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
tells_status() { systemctl show -P StatusText p2pnode@seed | has alive; }

install_package() { apt-get install -y --no-install-recommends /job/p2pnode.deb 2>&1 | tee installed; }

install_and_start() {
    step 'the package installs, and needs no network' install_package
    figure 'package' "$(stat -c %s /job/p2pnode.deb) bytes, installed $(dpkg-query -f '${Installed-Size}' -W p2pnode) KiB"
    figure 'depends on' "$(dpkg-query -f '${Depends}' -W p2pnode)"
    step 'a key ring was made, for root alone' [ "$(stat -c '%a %U' /etc/p2pnode/keys)" = '600 root' ]
    step 'the installation says where, and what to do with it' has 'copy it to the others' installed
    step 'configuration is for root and the daemon alone' \
        [ "$(stat -c '%a %U %G' /etc/p2pnode/seed.conf)" = '640 root p2pnode' ]
    step 'nothing runs before it is started' [ -z "$(pgrep p2pnode)" ]
    step 'systemd-analyze verify finds nothing in the units' verify_units
    step 'systemctl start p2pnode@seed' systemctl start p2pnode@seed
    step 'systemctl start p2pnode@lab, beside it' systemctl start p2pnode@lab
    step 'they see each other' until_true alive seed 2
    step 'p2pctl members' p2pctl -i lab members
    step 'exposure of the daemon is at most 1.5' security p2pnode@seed.service 15
    step 'exposure of the task runner is at most 2.5' security p2pnode-exec@seed.service 25
    figure 'exposure' "p2pnode@ $(exposure p2pnode@seed.service), p2pnode-exec@ $(exposure p2pnode-exec@seed.service)"
    step 'the key ring is handed over as a credential' [ -e /run/credentials/p2pnode@seed.service/keys ]
    step 'which the daemon cannot read at its source' not as_daemon cat /etc/p2pnode/keys
    step 'a member of the group p2pnode needs no more to run a task' \
        [ "$(as_member p2pctl -i lab submit --wait -- echo mine)" = mine ]
    step 'anybody else needs it' not as_nobody p2pctl -i lab status
    step 'STATUS= tells what systemctl status shows' until_true tells_status
}

# node NUMBER TYPES: one more node of this machine.
node() {
    cat > "/etc/p2pnode/n$1.conf" << END
node   = { name = "n$1"; };
listen = { port = $((7720 + $1)); };
seeds  = ( "127.0.0.1:7717" );
tasks  = { types = ( $2 ); };
END
}
# Each letter is a handler that one node has.
runs_list() {
    echo 'x1 y1 z1 y2 x2 z2' > tasks.txt
    ctl n4 run tasks.txt || return 1
    ctl n4 task list --no-legend -o name,node | awk '{ print $1, $2 }' | sort > where
    diff where <(printf '%s\n' 'x1 n1' 'x2 n1' 'y1 n2' 'y2 n2' 'z1 n3' 'z2 n3')
}
file_comes_back() { ctl n3 file get n2:os-release back && cmp /etc/os-release back; }

run_a_lab() {
    local name
    node 1 '{ name = "x"; command = "/bin/echo ran"; }'
    node 2 '{ name = "y"; command = "/bin/echo ran"; }'
    node 3 '{ name = "z"; command = "/bin/echo ran"; }'
    node 4 ''
    step 'four more nodes start at once' systemctl start p2pnode@n{1,2,3,4}
    for name in seed lab n1 n2 n3 n4; do
        step "six are alive, says $name" until_true alive $name 6
    done
    step 'p2pctl status' p2pctl -i n1 status
    step 'a task list runs, each task where its type is' runs_list
    step 'tasks run as p2pnode-task' [ "$(ctl lab submit --wait -- id -u)" = "$(id -u p2pnode-task)" ]
    step 'a task cannot reach the keys' ctl lab submit --wait -- \
        sh -c '! cat /etc/p2pnode/keys && ! cat /var/lib/p2pnode/lab/keyring'
    step 'a file is stored at another node' ctl lab file put /etc/os-release n2:
    step 'and comes back the same' file_comes_back
}

# A task's connection to the port of the seed.
reaches_network() { ctl n3 submit --wait -N n3 -- bash -c ': < /dev/tcp/127.0.0.1/7717'; }
give_network() {
    mkdir -p /etc/systemd/system/p2pnode-exec@n3.service.d
    # The example of p2pnode(8).
    printf '%s\n' '[Service]' 'PrivateNetwork=no' 'IPAddressDeny=' > /etc/systemd/system/p2pnode-exec@n3.service.d/override.conf
    echo 'sandbox = { network = true; };' >> /etc/p2pnode/n3.conf
    systemctl daemon-reload && systemctl restart p2pnode@n3
}

network() {
    step 'a task has no network' not reaches_network
    step 'the drop-in of the manual' give_network
    step 'gives it one' reaches_network
    rm -r /etc/systemd/system/p2pnode-exec@n3.service.d
}

joined() { journalctl -b PEER_EVENT=member-joined PEER_NODE=seed PEER_MEMBER=n4 "$@"; }
joined_is_told() { joined -o cat | has .; }
joined_is_explained() { joined -x | show | has 'Subject: n4 has joined'; }

read_the_journal() {
    step 'members are in the journal by field' until_true joined_is_told
    step 'journalctl -x explains them' joined_is_explained
}

reload_is_told() { journal_has PEER_EVENT=config-reloaded PEER_NODE=n1 PEER_CHANGED=log.level; }
reload_is_reported() { journalctl -b -u p2pnode@n1 -o cat | show | has '^reloaded: log\.level$'; }
mistake_is_told() { journalctl -b -u p2pnode@n1 -o cat | has 'n1.conf:6: '; }

reload() {
    local pid
    pid=$(main_pid p2pnode@n1)
    echo 'log = { level = "debug"; };' >> /etc/p2pnode/n1.conf
    cp /etc/p2pnode/n1.conf n1.good
    step 'systemctl reload takes a changed file over' systemctl reload p2pnode@n1
    step 'before it returns' [ "$(ctl n1 config show log.level)" = '"debug"' ]
    step 'it reports what has changed' until_true reload_is_reported
    step 'which is an event, too' until_true reload_is_told
    echo 'log_level = "loud";' >> /etc/p2pnode/n1.conf
    step 'systemctl reload fails where the file is wrong' not systemctl reload p2pnode@n1
    step 'the mistake is in the journal' until_true mistake_is_told
    step 'the node goes on as it was' [ "$(main_pid p2pnode@n1) $(ctl n1 config show log.level)" = "$pid \"debug\"" ]
    cp n1.good /etc/p2pnode/n1.conf
}

hook_is_told() { journalctl -b -u p2pnode@n1 -o cat -g 'hook for' | show | has 'failed with 3; it said: bye n2'; }
textfile_is_there() { has '^p2pnode_' /var/lib/p2pnode/n1/metrics.prom; }
gives_metrics() { ctl lab metrics | has '^p2pnode_'; }
is_reached() { ctl lab doctor | show | has '^ports *ok .* 5 other nodes reached by both'; }

maintain() {
    step 'doctor finds nothing that fails' until_true is_reached
    step 'status --check' until_true ctl lab status --check
    step 'metrics' gives_metrics
    cat >> /etc/p2pnode/n1.conf << 'END'
hooks   = ( { event = "member-left"; command = "/bin/sh -c 'echo bye $PEER_MEMBER; exit 3'"; } );
metrics = { textfile = "/var/lib/p2pnode/n1/metrics.prom"; };
END
    step 'a hook, and a file for node_exporter' systemctl reload p2pnode@n1
    step 'the file is written' until_true textfile_is_there
    step 'a node is drained, from another one' ctl lab drain n2 --wait --reason 'more memory'
    step 'which all see' until_true has_state seed n2 draining
    step 'and undrained' ctl lab undrain n2
    step 'which all see, too' until_true has_state seed n2 alive
    step 'a node leaves' ctl n2 leave
    step 'and has left' until_true has_state seed n2 left
    step 'a hook is run, and what it said is in the journal since it failed' until_true hook_is_told
    step 'the service is not ended' is_active p2pnode@n2
    step 'it joins again' ctl n2 join 127.0.0.1:7717
    step 'and is a member' until_true has_state seed n2 alive
}

# kill_main SIGNAL UNIT: and waits for the next one.
restarts_after() {
    local pid
    pid=$(main_pid "$2")
    systemctl kill --signal="$1" --kill-whom=main "$2"
    until_true is_other "$2" "$pid"
}
watchdog_is_told() { journalctl -b -u p2pnode@n3 -o cat | grep -i watchdog | show | has .; }
wrong_is_told() { journalctl -b -u p2pnode@wrong -o cat | show | has 'wrong.conf:2: '; }

runner_is_missed() { ctl lab status | show | has 'the task runner does not answer'; }

restart() {
    step 'a daemon that is killed is started again' restarts_after KILL p2pnode@n2
    step 'the watchdog restarts a daemon that hangs' restarts_after STOP p2pnode@n3
    step 'which the journal says' until_true watchdog_is_told
    step 'the watchdog restarts a task runner that hangs' restarts_after STOP p2pnode-exec@lab
    step 'tasks run again' [ "$(ctl lab submit --wait -N lab -- echo ran)" = ran ]
    step 'a task runner is stopped' systemctl stop p2pnode-exec@lab.socket p2pnode-exec@lab.service
    step 'which status says, with what to do' until_true runner_is_missed
    step 'tasks run elsewhere' [ "$(ctl lab submit --wait --retries 0 -- echo ran)" = ran ]
    step 'it is started again' systemctl start p2pnode-exec@lab.socket
    step 'and takes tasks by itself' [ "$(ctl lab submit --wait -N lab -- echo ran)" = ran ]
    step 'six are alive again' until_true alive seed 6
    printf '%s\n' 'listen = { port = 7799; };' 'sedes  = ( "127.0.0.1:7717" );' > /etc/p2pnode/wrong.conf
    step 'a wrong configuration does not start' not systemctl start p2pnode@wrong
    step 'it ended with 78' [ "$(systemctl show -P ExecMainStatus p2pnode@wrong)" = 78 ]
    step 'and is not tried again' [ "$(systemctl show -P ActiveState p2pnode@wrong)" = failed ]
    step 'the journal says what is wrong' until_true wrong_is_told
    step 'it leaves no socket of a task runner' until_true not systemctl -q is-active p2pnode-exec@wrong.socket
    step 'nor its file' until_true not test -e /run/p2pnode-exec/wrong.sock
    rm /etc/p2pnode/wrong.conf
    systemctl reset-failed p2pnode@wrong
}

nothing_is_called() {
    [ -z "$(systemctl list-units --all --plain --no-legend "p2pnode*@$1.*" | show)" ] &&
        [ -z "$(find /run/p2pnode* /var/lib/p2pnode* -name "$1*" | show)" ]
}

nosuch_is_told() { journalctl -b -u p2pnode@nosuch -o cat | show | has '^Assertion failed .*/etc/p2pnode/nosuch\.conf'; }

mistype() {
    step 'a name that has no configuration does not start' not systemctl start p2pnode@nosuch
    step 'the journal says which file is missing' until_true nosuch_is_told
    step 'nothing is left of it' until_true nothing_is_called nosuch
}

restart_often() {
    local i
    for i in {1..12}; do
        systemctl restart p2pnode@n2 || return 1
    done
}
# Between two starts it is "activating".
is_given_up() { [ "$(systemctl show -P ActiveState p2pnode@taken)" = failed ]; }

limit_starts() {
    local PATIENCE=150
    echo 'listen = { port = 7717; };' > /etc/p2pnode/taken.conf
    step 'a daemon that cannot have its port is tried again' not systemctl start p2pnode@taken
    step 'a dozen restarts by hand are done meanwhile' restart_often
    step 'six are alive again' until_true alive seed 6
    step 'tasks run there' [ "$(ctl lab submit --wait -N n2 -- echo ran)" = ran ]
    step 'in the end it is given up' until_true is_given_up
    step 'after that many starts' [ "$(systemctl show -P NRestarts p2pnode@taken)" -ge 20 ]
    systemctl stop p2pnode@taken
    systemctl reset-failed p2pnode@taken
    rm /etc/p2pnode/taken.conf
}

no_keys_is_told() { journalctl -b -u p2pnode@nokeys -o cat | show | has 'no key ring: /etc/p2pnode/keys: '; }

without_keys() {
    mv /etc/p2pnode/keys keys.away
    echo 'listen = { port = 7798; };' > /etc/p2pnode/nokeys.conf
    step 'without a key ring a node does not start' not systemctl start p2pnode@nokeys
    step 'it ended with 78' [ "$(systemctl show -P ExecMainStatus p2pnode@nokeys)" = 78 ]
    step 'and is not tried again' [ "$(systemctl show -P ActiveState p2pnode@nokeys)" = failed ]
    step 'the journal says what is missing, and where' until_true no_keys_is_told
    echo 'security = { encrypt = false; tls = false; };' >> /etc/p2pnode/nokeys.conf
    step 'one that encrypts nothing needs none' systemctl start p2pnode@nokeys
    step 'and those that have theirs start as before' systemctl restart p2pnode@n2
    mv keys.away /etc/p2pnode/keys
    systemctl stop p2pnode@nokeys
    rm /etc/p2pnode/nokeys.conf
    step 'six are alive again' until_true alive seed 6
}

# Runs until FILE is there.
submit_waiting() { ctl "$1" submit -N "$2" -- sh -c "until [ -e $3 ]; do sleep 0.1; done; echo done"; }
task_is() { ctl "$1" task list --no-legend -o id,state | has "^${2%@*} *$3"; }
is_stopping() { [ "$(systemctl show -P ActiveState "$1")" = deactivating ]; }

stop_gracefully() {
    local task stopping
    task=$(submit_waiting n1 n4 /usr/share/stop)
    step 'a task runs at n4' until_true task_is n1 "$task" running
    systemctl stop p2pnode@n4 &
    stopping=$!
    step 'n4 is stopped meanwhile' until_true is_stopping p2pnode@n4
    touch /usr/share/stop
    step 'the task may end first' ctl n1 task wait "$task"
    step 'then the node has' wait $stopping
    step 'it was not run twice' [ "$(ctl n1 task show "$task" --json | grep -o '"attempt":[0-9]*')" = '"attempt":1' ]
    step 'a stop is a leave' until_true has_state seed n4 left
    step 'its task runner is stopped with it' not is_active p2pnode-exec@n4.service
    rm /usr/share/stop
}

leftovers() { find / -xdev \( -path /proc -o -path /job -o -path /tmp \) -prune -o -name '*p2pnode*' -print; }
nothing_is_left() {
    [ -z "$(leftovers | show)" ] && [ -z "$(pgrep -l p2pnode | show)" ] &&
        [ -z "$(systemctl list-units --all --plain --no-legend 'p2pnode*' | show)" ]
}

purge() {
    rm -f /etc/p2pnode/n?.conf /etc/default/p2pnode-lab
    step 'the package is removed and purged, with nodes that run' apt-get purge -y p2pnode
    step 'no file, process or unit is left' nothing_is_left
}

id_of() { ctl "$1" node show "$1" --json | grep -o '"uuid": *"[^"]*"'; }

upgrade() {
    local task pid id keys
    step 'the previous version installs' apt-get install -y --no-install-recommends /job/previous.deb
    echo 'P2PNODE_STOP_GRACE=1s' > /etc/default/p2pnode-lab
    echo '# changed here' >> /etc/p2pnode/lab.conf
    step 'two nodes are enabled and started' systemctl enable --now p2pnode@seed p2pnode@lab
    step 'they see each other' until_true alive lab 2
    task=$(submit_waiting lab lab /usr/share/go)
    step 'a task is under way' until_true task_is lab "$task" running
    pid=$(main_pid p2pnode@lab) id=$(id_of lab) keys=$(sha256sum /etc/p2pnode/keys)
    # As AppArmor 4 has, whose rule the profile is for.
    mkdir -p /etc/apparmor.d/abi && touch /etc/apparmor.d/abi/4.0
    step 'an upgrade' apt-get install -y --no-install-recommends /job/p2pnode.deb
    step 'has restarted the daemon' until_true is_other p2pnode@lab "$pid"
    step 'which is the new one, as its task runner' until_true runs_installed p2pnode@lab p2pnode-exec@lab
    step 'they find each other again' until_true alive seed 2
    step 'the node is the same' [ "$(id_of lab) $(sha256sum /etc/p2pnode/keys)" = "$id $keys" ]
    touch /usr/share/go
    step 'the task is not forgotten' ctl lab task wait "$task"
    step 'and has run' [ "$(ctl lab task logs --stdout "$task")" = 'done' ]
    step 'the changed configuration stays' has 'changed here' /etc/p2pnode/lab.conf
    step 'the profile of AppArmor is there, where its rule is known' [ -s /etc/apparmor.d/p2pnode-exec ]
    step 'the package is removed' apt-get remove -y p2pnode
    step 'its nodes are stopped' [ -z "$(pgrep -l p2pnode | show)" ]
    step 'the profile is gone' [ ! -L /etc/apparmor.d/p2pnode-exec ]
    step 'the state stays' [ -s /var/lib/p2pnode/lab/keyring -a -s /etc/p2pnode/keys ]
    step 'the package comes back' apt-get install -y --no-install-recommends /job/p2pnode.deb
    step 'its nodes start' systemctl start p2pnode@seed p2pnode@lab
    step 'as the same' [ "$(until_true alive lab 2; id_of lab)" = "$id" ]
}

install_and_start
run_a_lab
network
read_the_journal
reload
maintain
mistype
restart
limit_starts
without_keys
stop_gracefully
purge
upgrade
purge
finish
