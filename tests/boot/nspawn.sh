#!/bin/bash
# SPDX-License-Identifier: MIT
# nspawn.sh TREE JOB: boots TREE as a container over a throw-away layer, with the directory JOB at /job; the status
# is the job's. Needs root, and leaves neither a mount nor a control group behind.
set -euo pipefail

# Mounts are its own: of the control groups the container is to see the one hierarchy of version 2, whatever the
# machine has beside it or instead; systemd would take the others first.
if [ "${1:-}" != --inside ]; then
    exec unshare --mount --propagation private "$0" --inside "$@"
fi
tree=$(readlink -f "$2")
job=$(readlink -f "$3")
mount -t cgroup2 cgroup2 /sys/fs/cgroup || { echo "no control groups of version 2: $(uname -r)"; exit 1; }
# What nspawn keeps of its machines goes with it.
mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn
group=/sys/fs/cgroup/p2pnode-boot-$$

remove_group() {
    echo 1 > "$group/cgroup.kill"
    while ! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && [ -e "$group" ]; do
        read -r -t 0.1 <> <(:) || true
    done
}
mkdir "$group"
trap remove_group EXIT

# The group is the container's root. nspawn 252 forbids Landlock unless it is named.
(
    echo "$BASHPID" > "$group/cgroup.procs"
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_LOG_LEVEL=warning
    exec timeout -k 10 900 systemd-nspawn --quiet --keep-unit --register=no --private-network --volatile=overlay \
        --machine="p2pnode-boot-$$" --directory="$tree" --bind-ro="$job:/job" --resolv-conf=off --timezone=off --link-journal=no \
        --kill-signal=SIGRTMIN+3 \
        --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
        --boot -- --show-status=no --log-level=warning
) < /dev/null
