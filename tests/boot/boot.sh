#!/bin/bash
# SPDX-License-Identifier: MIT
# boot.sh DEB WORK: boots a real systemd in a container and lets job.sh use the package there. WORK keeps the tree.
set -euo pipefail

deb=$1
work=$2
here=$(dirname "$(readlink -f "$0")")
[ "$(id -u)" = 0 ] || { echo 'boot tests need root'; exit 1; }

mkdir -p "$work/job"
"$here/tree.sh" "$work/bookworm"
cp "$deb" "$work/job/p2pnode.deb"
cp "$here/job.sh" "$work/job/"
"$here/nspawn.sh" "$work/bookworm" "$work/job"
