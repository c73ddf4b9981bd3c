#!/bin/bash
# SPDX-License-Identifier: MIT
# nspawn.sh TREE JOB: boots TREE as a container over a throw-away layer, with the directory JOB at /job; the status
# is the job's. Needs root, and leaves neither a mount nor a control group behind.
set -euo pipefail

tree=$(readlink -f "$1")
job=$(readlink -f "$2")
hierarchy=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
group=$hierarchy/p2pnode-boot-$$

remove_group() {
    echo 1 > "$group/cgroup.kill"
    while ! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && [ -e "$group" ]; do
        read -r -t 0.1 <> <(:) || true
    done
}
mkdir "$group"
trap remove_group EXIT

# A control group of its own that is the container's root, and a private mount of the one hierarchy that systemd
# is to see: on a machine with both versions it would take the first.
(
    echo "$BASHPID" > "$group/cgroup.procs"
    exec unshare --mount --propagation private /bin/bash -c '
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_LOG_LEVEL=warning
        exec timeout -k 10 600 systemd-nspawn --quiet --keep-unit --register=no --private-network \
            --volatile=overlay --directory="$1" --bind-ro="$2:/job" --resolv-conf=off --timezone=off \
            --link-journal=no --kill-signal=SIGRTMIN+3 \
            --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
            --boot -- --show-status=no --log-level=warning
    ' boot "$tree" "$job"
) < /dev/null
