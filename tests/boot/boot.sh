#!/bin/bash
# SPDX-License-Identifier: MIT
# boot.sh deb DEB WORK: boots a real systemd in a container and lets deb.sh use the package there.
# boot.sh rpm RPM WORK: the same with rpm.sh, in a tree that the package was installed in before it is booted.
# WORK keeps the trees and the transcripts, KIND.log.
set -euo pipefail

kind=$1 package=$2 work=$3
here=$(dirname "$(readlink -f "$0")")
[ "$(id -u)" = 0 ] || { echo 'boot tests need root'; exit 1; }

# install_rpm RPM TREE: its nodes are enabled, so that the boot starts them.
install_rpm() {
    # shellcheck disable=SC2016
    unshare --mount --propagation private bash -c 'mount -t proc proc "$2/proc" && rpm --root "$2" -i --nodeps "$1"' \
        install "$1" "$2"
    systemctl --root "$2" --quiet enable p2pnode@seed.service p2pnode@lab.service
}

mkdir -p "$work"
work=$(readlink -f "$work")
"$here/tree.sh" "$work/bookworm"
job=$work/$kind.job tree=$work/bookworm
rm -rf "$job"
install -D -m 755 "$here/$kind.sh" "$job/job.sh"
install -m 644 "$here/steps.sh" "$job/"
install -m 644 "$package" "$job/p2pnode.$kind"
if [ "$kind" = deb ]; then
    "$here/repack.sh" "$package" "$job/previous.deb" 0.0.9
else
    tree=$work/bookworm-rpm
    rm -rf "$tree"
    cp -a "$work/bookworm" "$tree"
    install_rpm "$job/p2pnode.rpm" "$tree"
fi
begin=$SECONDS
"$here/nspawn.sh" "$tree" "$job" | tee "$work/$kind.log"
echo "figure  boot test of the $kind: $((SECONDS - begin)) s" | tee -a "$work/$kind.log"
