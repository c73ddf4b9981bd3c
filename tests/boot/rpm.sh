#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs in a tree that the rpm was installed in before it was booted, with seed and lab enabled. /job has p2pnode.rpm.
. /job/steps.sh
cd /tmp || exit 1

runs_list() { echo 'a1 b1 c1 a2 b2 c2' > tasks.txt && ctl lab run tasks.txt | show | has 'Executing task: c2'; }
upgrade() { rpm -U --replacepkgs --nodeps /job/p2pnode.rpm; }
links() { find /etc/systemd -name 'p2pnode*' | show; }

step 'both nodes run since the machine was booted' until_true is_active p2pnode@seed p2pnode@lab
step 'they see each other' until_true alive seed 2
step 'p2pctl members' p2pctl -i lab members
step 'a key ring was made, for root alone' [ "$(stat -c '%a %U' /etc/p2pnode/keys)" = '600 root' ]
step 'configuration is for root and the daemon alone' \
    [ "$(stat -c '%a %U %G' /etc/p2pnode/seed.conf)" = '640 root p2pnode' ]
step 'all files are as they were packed' rpm -V --nodeps p2pnode
step 'a task list runs' runs_list
step 'tasks run as p2pnode-task' [ "$(ctl lab submit --wait -- id -u)" = "$(id -u p2pnode-task)" ]
seed=$(main_pid p2pnode@seed) lab=$(main_pid p2pnode@lab)
step 'an upgrade' upgrade
step 'has restarted the daemons' until_true is_other p2pnode@lab "$lab"
step 'both of them' until_true is_other p2pnode@seed "$seed"
step 'to what is installed now' until_true runs_installed p2pnode@seed p2pnode@lab
step 'they find each other again' until_true alive seed 2
step 'the package is erased' rpm -e p2pnode
step 'its nodes are stopped' [ -z "$(pgrep -l p2pnode | show)" ]
step 'and not enabled any more' [ -z "$(links)" ]
step 'key ring and state stay' [ -s /etc/p2pnode/keys -a -s /var/lib/p2pnode/lab/keyring ]
finish
