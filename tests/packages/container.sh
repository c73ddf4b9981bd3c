#!/bin/bash
# SPDX-License-Identifier: MIT
# container.sh DEB WORK: builds the image of packaging/container on the tree of the boot tests, since a registry would
# need a network, and runs the lab of twelve of compose.yaml. Needs root and control groups of version 2. Images and
# containers are in WORK alone, their network in a namespace; all that runs ends with this, however it ends.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")

# Mounts and processes of its own: what this machine has of podman is not seen, and all is unmounted at the end.
if [ "${1:-}" != --inside ]; then
    unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" --inside "$@"
    status=$?
    rm -rf "$2/container"
    exit $status
fi
deb=$(readlink -f "$2")
work=$(mkdir -p "$3" && readlink -f "$3")
. "$here/../boot/steps.sh"
lab=$work/container
files=$lab/source/packaging/container
export CONTAINERS_STORAGE_CONF=$lab/storage.conf CONTAINERS_CONF=$lab/containers.conf

# hide DIRECTORY...: shows an empty one instead.
hide() {
    local directory
    for directory; do
        mkdir -p "$directory" && mount -t tmpfs tmpfs "$directory" || return 1
    done
}
# Of the control groups only the hierarchy of version 2 is to be seen, as podman wants it; the nodes get none. Podman
# would raise limits above those that it was given, which not every root may.
prepare() {
    rm -rf "$lab"
    mount -t cgroup2 cgroup2 /sys/fs/cgroup && hide /run/libpod /run/containers /run/netns /dev/shm || return 1
    mkdir -p "$lab/source/build" "$lab/source/packaging"
    cp "$deb" "$lab/source/build/"
    cp -r "$here/../../packaging/container" "$lab/source/packaging/"
    cat > "$CONTAINERS_STORAGE_CONF" << END
[storage]
driver = "overlay"
graphroot = "$lab/graph"
runroot = "$lab/run"
END
    cat > "$CONTAINERS_CONF" << END
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=$(ulimit -Hn)", "nproc=$(ulimit -Hu)"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "$lab/networks"
END
    touch "$lab/net" && unshare --net="$lab/net" ip link set lo up
}
in_lab() { nsenter --net="$lab/net" "$@"; }
compose() { (cd "$files" && in_lab podman-compose "$@"); }
in_node() { in_lab podman exec "$@"; }
# once WORD...: a container of the image that is gone afterwards.
once() { in_lab podman run --rm --network=none "$@"; }

base() { tar -C "$work/bookworm" --exclude=./proc --exclude=./sys -c . | podman import - p2pnode-base; }
build() {
    podman build --isolation=chroot --network=host --build-arg BASE=p2pnode-base -t p2pnode \
        -f "$files/Containerfile" "$lab/source"
}
make_keys() { (umask 077 && once --entrypoint p2pctl p2pnode keys gen > "$files/keys") && [ -s "$files/keys" ]; }
has_level() { in_node "$1" p2pctl doctor sandbox | show | has " level $2\$"; }
sees() { [ "$(in_node "$1" p2pctl members --alive --no-legend | wc -l)" = "$2" ]; }
is_seen() { in_node "$1" p2pctl members --no-legend -o node,state | show | has "^$2  *$3"; }
runs_list() { echo 'a1 b1 c1 a2 b2 c2' | in_node -i peer-1 p2pctl run - | show | has 'Executing task: c2'; }
message_arrives() { in_node peer-2 p2pctl inbox | show | has 'Hello Node2!'; }
is_logged() { in_lab podman logs peer-2 2>&1 | show | has 'Hello Node2!'; }
key_is_safe() { in_node peer-1 p2pctl submit --wait -N peer-3 -- sh -c '! cat /etc/p2pnode/keys'; }
file_comes_back() {
    echo 'through two nodes' | in_node -i peer-4 p2pctl file put - peer-5:text &&
        in_node peer-6 p2pctl file get peer-5:text - | show | has 'through two nodes'
}

step 'podman sees nothing but its own' prepare || exit 1
step 'a base image, without a registry' base
step 'the image of one node is built' build
step 'no key ring is in it' once --entrypoint sh p2pnode -c 'cd /etc/p2pnode && [ -e node.conf ] && [ ! -e keys ]'
step 'the image makes one' make_keys
[ $failed = 0 ] || { finish; exit 1; }
begin=$SECONDS
step 'compose starts three seeds and nine peers' compose up -d
for node in seed-{1,2,3} peer-{1,2,3,4,5,6,7,8,9}; do
    step "twelve are alive, says $node" until_true sees "$node" 12
done
figure 'twelve containers' "all see all $((SECONDS - begin)) s after the first was asked for"
step 'status' in_node peer-1 p2pctl status
step 'the sandbox is Landlock, since podman hides parts of /proc' until_true has_level peer-1 landlock
step 'a node that has it whole' in_lab podman run -d --rm --name whole --security-opt unmask=ALL -v "$files/keys:/etc/p2pnode/keys:ro" p2pnode
step 'has namespaces' until_true has_level whole namespaces
step 'a task list runs' runs_list
step 'a task cannot read the key ring' key_is_safe
step 'a file goes from node to node' file_comes_back
step 'a message is sent' in_node peer-1 p2pctl message peer-2 'Hello Node2!'
step 'and is in the inbox' until_true message_arrives
step 'podman logs shows it' until_true is_logged
step 'a container is killed' in_lab podman kill peer-9
step 'and dead for the others' until_true is_seen seed-1 peer-9 dead
step 'another is stopped' in_lab podman stop peer-8
step 'and has left' until_true is_seen seed-1 peer-8 left
step 'both are started again' in_lab podman start peer-8 peer-9
step 'and are members again' until_true sees seed-1 12
step 'compose stops the lab' compose down
finish
